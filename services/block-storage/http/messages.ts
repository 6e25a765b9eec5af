import { Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Urls } from "../../../kernel/http/urls.ts";
import { deleteMessage, findMessage, listMessages, MESSAGE_SORT_COLUMNS } from "../store/messages.ts";
import type { VolumeMessageRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedPage, listQuery } from "./listing.ts";
import { mayKnow } from "./volume-lookup.ts";
import { linksOf } from "./volume-view.ts";

const text = Type.Optional(Type.String());
const query = Type.Object({
  ...listQuery,
  resource_type: text,
  resource_uuid: text,
  event_id: text,
  message_level: text,
  request_id: text,
});

/** `/messages`: why requests that were accepted failed. */
export function messageRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const known = async (request: Pick<ApiRequest, "context">, id: string): Promise<VolumeMessageRow> => {
    const row = await findMessage(store.read, clock.now(), id);
    if (row && mayKnow(request, row.project_id)) return row;
    throw new CloudError("notFound", "block-storage.message_not_found", `Message ${id} could not be found.`);
  };
  return [
    route({
      name: "messages.list",
      method: "GET",
      path: "/messages",
      minVersion: "3.3",
      policy: "message:get_all",
      query,
      async handler(request) {
        const { projectId } = request.context;
        request.authorize("message:get_all", { project_id: projectId });
        const { marker, ...page } = askedPage(request, MESSAGE_SORT_COLUMNS, deps.settings.maxLimit);
        const after = marker === undefined ? undefined : await known(request, marker);
        const { resource_type, resource_uuid: resource_id, event_id, message_level, request_id } = request.query;
        const asked = { resource_type, resource_id, event_id, message_level, request_id };
        const filter = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
        const rows = await listMessages(
          store.read,
          clock.now(),
          { ...filter, project_id: projectId ?? "" },
          { ...page, marker: after },
        );
        const views = rows.map((row) => messageView(row, request.urls));
        return { body: pageBody(request, "messages", views, { limit: page.limit, markerOf: (view) => view.id }) };
      },
    }),
    route({
      name: "messages.show",
      method: "GET",
      path: "/messages/:id",
      minVersion: "3.3",
      policy: "message:get",
      async handler(request) {
        const row = await known(request, request.param("id"));
        request.authorize("message:get", { project_id: row.project_id });
        return { body: { message: messageView(row, request.urls) } };
      },
    }),
    route({
      name: "messages.delete",
      method: "DELETE",
      path: "/messages/:id",
      minVersion: "3.3",
      policy: "message:delete",
      success: 204,
      async handler(request) {
        const row = await known(request, request.param("id"));
        request.authorize("message:delete", { project_id: row.project_id });
        await store.tx((t) => deleteMessage(t, row.id));
        return undefined;
      },
    }),
  ];
}

function messageView(row: VolumeMessageRow, urls: Urls) {
  return {
    id: row.id,
    request_id: row.request_id,
    resource_type: row.resource_type,
    resource_uuid: row.resource_id,
    event_id: row.event_id,
    message_level: row.message_level,
    user_message: row.user_message,
    created_at: isoMicros(row.created_at),
    guaranteed_until: isoMicros(row.expires_at),
    links: linksOf(urls, `/messages/${row.id}`),
  };
}
