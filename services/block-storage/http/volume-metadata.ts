import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { getVolume, updateDetails } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { VolumeMetadata } from "./schemas.ts";
import { ruleTarget, volumeOf } from "./volume-lookup.ts";

const GET = "volume:get_volume_metadata";
const CREATE = "volume:create_volume_metadata";
const UPDATE = "volume:update_volume_metadata";
const DELETE = "volume:delete_volume_metadata";
const PATH = "/volumes/:id/metadata";

const Body = Type.Object({ metadata: VolumeMetadata }, { additionalProperties: false });
const OneBody = Type.Object({ meta: VolumeMetadata }, { additionalProperties: false });

type Asking = ApiRequest<unknown, unknown>;
type Pairs = Readonly<Record<string, string>>;

/** `/volumes/{id}/metadata` */
export function volumeMetadataRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;

  const read = async (request: Asking): Promise<Pairs> => {
    const volume = await volumeOf(store.read, request);
    request.authorize(GET, ruleTarget(volume));
    return JSON.parse(volume.metadata) as Pairs;
  };
  const write = async (request: Asking, rule: string, change: (old: Pairs) => Pairs): Promise<Pairs> => {
    const { id, status, ...volume } = await volumeOf(store.read, request);
    request.authorize(rule, ruleTarget(volume));
    if (status === "maintenance") throw invalidVolume(`Volume ${id} is in maintenance.`);
    return await store.tx(async (t) => {
      const metadata = change(JSON.parse((await getVolume(t, id)).metadata) as Pairs);
      await updateDetails(t, clock, id, { metadata: JSON.stringify(metadata) });
      return metadata;
    });
  };

  return [
    route({
      name: "volumes.metadata.list",
      method: "GET",
      path: PATH,
      policy: GET,
      handler: async (request) => ({ body: { metadata: await read(request) } }),
    }),
    route({
      name: "volumes.metadata.add",
      method: "POST",
      path: PATH,
      policy: CREATE,
      body: Body,
      async handler(request) {
        const added = request.body.metadata;
        return { body: { metadata: await write(request, CREATE, (old) => ({ ...old, ...added })) } };
      },
    }),
    route({
      name: "volumes.metadata.replace",
      method: "PUT",
      path: PATH,
      policy: UPDATE,
      body: Body,
      async handler(request) {
        const wanted = request.body.metadata;
        return { body: { metadata: await write(request, UPDATE, () => wanted) } };
      },
    }),
    route({
      name: "volumes.metadata.show",
      method: "GET",
      path: `${PATH}/:key`,
      policy: GET,
      async handler(request) {
        const key = request.param("key");
        const value = (await read(request))[key];
        if (value === undefined) throw noKey(key);
        return { body: { meta: { [key]: value } } };
      },
    }),
    route({
      name: "volumes.metadata.set",
      method: "PUT",
      path: `${PATH}/:key`,
      policy: UPDATE,
      body: OneBody,
      async handler(request) {
        const { meta } = request.body;
        const key = request.param("key");
        if (Object.keys(meta).length !== 1 || meta[key] === undefined)
          throw new CloudError("invalid", "block-storage.metadata_mismatch", "Request body and URI mismatch");
        await write(request, UPDATE, (old) => ({ ...old, ...meta }));
        return { body: { meta } };
      },
    }),
    route({
      name: "volumes.metadata.delete",
      method: "DELETE",
      path: `${PATH}/:key`,
      policy: DELETE,
      async handler(request) {
        const key = request.param("key");
        await write(request, DELETE, ({ [key]: gone, ...rest }) => {
          if (gone === undefined) throw noKey(key);
          return rest;
        });
        return undefined;
      },
    }),
  ];
}

function noKey(key: string): CloudError {
  return new CloudError("notFound", "block-storage.metadata_not_found", `Volume has no metadata with key ${key}.`);
}
