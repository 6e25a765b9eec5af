import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { mustBeUnlocked } from "../domain/can.ts";
import { updateDetails } from "../store/server-writes.ts";
import { getServer } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { TagList } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-server-tags";
const SINCE = "2.26";
const MOST_TAGS = 50;
const Body = Type.Object({ tags: TagList }, { additionalProperties: false });
type AnyRequest = ApiRequest<unknown, unknown>;
type Tags = readonly string[];

/** `/servers/{id}/tags` */
export function tagRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const q = store.read;
  const path = "/servers/:id/tags";

  const read = async (request: AnyRequest, rule: string): Promise<Tags> => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    return tagsOf(server);
  };
  const write = async (request: AnyRequest, rule: string, change: (old: Tags) => Tags): Promise<void> => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    mustBeUnlocked(server, request.context.isAdmin);
    await store.tx(async (t) => {
      const tags = change(tagsOf(await getServer(t, server.id)));
      await updateDetails(t, clock, server.id, { tags: JSON.stringify([...new Set(tags)].sort()) });
    });
  };
  const known = (tags: Tags, request: AnyRequest): string => {
    const tag = request.param("tag");
    if (tags.includes(tag)) return tag;
    const server = request.param("id");
    throw new CloudError("notFound", "compute.tag_not_found", `Server ${server} has no tag '${tag.slice(0, 80)}'`);
  };

  return [
    route({
      name: "servers.tags.list",
      method: "GET",
      path,
      policy: `${RULE}:index`,
      minVersion: SINCE,
      handler: async (request) => ({ body: { tags: await read(request, `${RULE}:index`) } }),
    }),
    route({
      name: "servers.tags.replace",
      method: "PUT",
      path,
      policy: `${RULE}:update_all`,
      minVersion: SINCE,
      body: Body,
      async handler(request) {
        const { tags } = request.body;
        await write(request, `${RULE}:update_all`, () => tags);
        return { body: { tags: [...new Set(tags)].sort() } };
      },
    }),
    route({
      name: "servers.tags.clear",
      method: "DELETE",
      path,
      policy: `${RULE}:delete_all`,
      minVersion: SINCE,
      success: 204,
      async handler(request) {
        await write(request, `${RULE}:delete_all`, () => []);
        return undefined;
      },
    }),
    route({
      name: "servers.tags.show",
      method: "GET",
      path: `${path}/:tag`,
      policy: `${RULE}:show`,
      minVersion: SINCE,
      success: 204,
      async handler(request) {
        known(await read(request, `${RULE}:show`), request);
        return undefined;
      },
    }),
    route({
      name: "servers.tags.add",
      method: "PUT",
      path: `${path}/:tag`,
      policy: `${RULE}:update`,
      minVersion: SINCE,
      async handler(request) {
        const tag = request.param("tag");
        if (tag.length > 60 || /[,/]/.test(tag)) throw invalid(`Tag '${tag.slice(0, 80)}' is invalid.`);
        let existed = false;
        await write(request, `${RULE}:update`, (old) => {
          existed = old.includes(tag);
          if (!existed && old.length >= MOST_TAGS) throw invalid(`The number of tags exceeded ${MOST_TAGS}.`);
          return [...old, tag];
        });
        if (existed) return { status: 204 };
        const location = request.urls.self(`/servers/${request.param("id")}/tags/${encodeURIComponent(tag)}`);
        return { status: 201, headers: { Location: location } };
      },
    }),
    route({
      name: "servers.tags.delete",
      method: "DELETE",
      path: `${path}/:tag`,
      policy: `${RULE}:delete`,
      minVersion: SINCE,
      success: 204,
      async handler(request) {
        await write(request, `${RULE}:delete`, (old) => {
          const gone = known(old, request);
          return old.filter((tag) => tag !== gone);
        });
        return undefined;
      },
    }),
  ];
}

function tagsOf(server: ServerRow): Tags {
  return JSON.parse(server.tags) as Tags;
}

function invalid(message: string): CloudError {
  return new CloudError("invalid", "compute.invalid_tag", message);
}
