import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { Metadata } from "../../../kernel/http/schemas.ts";
import { GATES, mustBeUnlocked, mustPass } from "../domain/can.ts";
import { updateDetails } from "../store/server-writes.ts";
import { getServer } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { checkMetadataCount } from "./quota-check.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:server-metadata";
const Body = Type.Object({ metadata: Metadata }, { additionalProperties: false });
const OneBody = Type.Object({ meta: Metadata }, { additionalProperties: false });
type AnyRequest = ApiRequest<unknown, unknown>;
type Map = Readonly<Record<string, string>>;

/** `/servers/{id}/metadata` */
export function metadataRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const q = store.read;
  const path = "/servers/:id/metadata";

  const read = async (request: AnyRequest, rule: string): Promise<Map> => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    return metadataOf(server);
  };
  const write = async (request: AnyRequest, rule: string, change: (old: Map) => Map): Promise<Map> => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    mustBeUnlocked(server, request.context.isAdmin);
    mustPass(GATES.metadata, server, "update metadata");
    return await store.tx(async (t) => {
      const metadata = change(metadataOf(await getServer(t, server.id)));
      await checkMetadataCount(t, server.project_id, Object.keys(metadata).length);
      await updateDetails(t, clock, server.id, { metadata: JSON.stringify(metadata) });
      return metadata;
    });
  };
  const one = (metadata: Map, request: AnyRequest): Map => {
    const key = request.param("key");
    const value = own(metadata, key);
    if (value !== undefined) return { [key]: value };
    throw new CloudError("notFound", "compute.metadata_not_found", "Metadata item was not found");
  };

  return [
    route({
      name: "servers.metadata.list",
      method: "GET",
      path,
      policy: `${RULE}:index`,
      handler: async (request) => ({ body: { metadata: await read(request, `${RULE}:index`) } }),
    }),
    route({
      name: "servers.metadata.add",
      method: "POST",
      path,
      policy: `${RULE}:create`,
      body: Body,
      async handler(request) {
        const added = request.body.metadata;
        return { body: { metadata: await write(request, `${RULE}:create`, (old) => ({ ...old, ...added })) } };
      },
    }),
    route({
      name: "servers.metadata.replace",
      method: "PUT",
      path,
      policy: `${RULE}:update_all`,
      body: Body,
      async handler(request) {
        const wanted = request.body.metadata;
        return { body: { metadata: await write(request, `${RULE}:update_all`, () => wanted) } };
      },
    }),
    route({
      name: "servers.metadata.show",
      method: "GET",
      path: `${path}/:key`,
      policy: `${RULE}:show`,
      handler: async (request) => ({ body: { meta: one(await read(request, `${RULE}:show`), request) } }),
    }),
    route({
      name: "servers.metadata.set",
      method: "PUT",
      path: `${path}/:key`,
      policy: `${RULE}:update`,
      body: OneBody,
      async handler(request) {
        const { meta } = request.body;
        const key = request.param("key");
        if (Object.keys(meta).length !== 1 || own(meta, key) === undefined) {
          throw new CloudError("invalid", "compute.metadata_mismatch", "Request body and URI mismatch");
        }
        await write(request, `${RULE}:update`, (old) => ({ ...old, ...meta }));
        return { body: { meta } };
      },
    }),
    route({
      name: "servers.metadata.delete",
      method: "DELETE",
      path: `${path}/:key`,
      policy: `${RULE}:delete`,
      success: 204,
      async handler(request) {
        await write(request, `${RULE}:delete`, (old) => {
          const [gone = ""] = Object.keys(one(old, request));
          const { [gone]: _, ...rest } = old;
          return rest;
        });
        return undefined;
      },
    }),
  ];
}

function metadataOf(server: ServerRow): Map {
  return JSON.parse(server.metadata) as Map;
}
