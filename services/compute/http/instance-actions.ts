import { Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError, type PublicFault } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { type ActionEvent, eventsOf, findAction, listActions } from "../store/action-lists.ts";
import { findServerEvenDeleted } from "../store/server-lists.ts";
import { serverNotFound } from "../store/servers.ts";
import type { InstanceActionRow, ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mayKnow, serverOf, targetOf } from "./server-lookup.ts";
import { hostIdOf, type Json } from "./server-view.ts";
import { changesBefore, changesSince, microsOrNull, timeRange } from "./times.ts";

const RULE = "os_compute_api:os-instance-actions";
const Newest = Type.Object({ ...pageQuery, ...changesSince, ...changesBefore });

/** What was asked of a server; the events come from the journals of the operations that did it. */
export function instanceActionRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const path = "/servers/:id/os-instance-actions";
  return [
    route({
      name: "instance-actions.list",
      method: "GET",
      path,
      policy: `${RULE}:list`,
      query: byVersion<typeof Newest>({
        "2.1": Type.Object({}) as unknown as typeof Newest,
        "2.58": Type.Object({ ...pageQuery, ...changesSince }) as unknown as typeof Newest,
        "2.66": Newest,
      }),
      strictQueryFrom: "2.58",
      async handler(request) {
        const server = await anyServerOf(q, request);
        request.authorize(`${RULE}:list`, targetOf(server));
        const { limit, marker } = pageOf(request, deps.settings.maxLimit);
        const page = { limit, marker: await markerOf(q, server, marker), ...timeRange(request.query) };
        const views = (await listActions(q, server.id, page)).map((row) => actionView(row, request));
        if (request.version.below("2.58")) return { body: { instanceActions: views } };
        const markerOfView = (view: Json) => String(view.request_id);
        return {
          body: pageBody(request, "instanceActions", views, { limit, markerOf: markerOfView, linksKey: "links" }),
        };
      },
    }),
    route({
      name: "instance-actions.show",
      method: "GET",
      path: `${path}/:request_id`,
      policy: [`${RULE}:show`, `${RULE}:events`, `${RULE}:events:details`],
      query: Type.Object({}),
      strictQueryFrom: "2.102",
      async handler(request) {
        const server = await anyServerOf(q, request);
        request.authorize(`${RULE}:show`, targetOf(server));
        const action = await findAction(q, server.id, request.param("request_id"));
        if (!action) {
          throw new CloudError(
            "notFound",
            "compute.action_not_found",
            `Action ${request.param("request_id")} not found on instance ${server.id}`,
          );
        }
        const view = actionView(action, request);
        const full = request.check(`${RULE}:events`, targetOf(server));
        if (full || request.version.atLeast("2.51")) {
          const details = full && request.check(`${RULE}:events:details`, targetOf(server));
          const events = await eventsOf(q, action);
          view.events = events.map((event) => eventView(event, server, request, { full, details }));
        }
        return { body: { instanceAction: view } };
      },
    }),
  ];
}

/** From 2.21 also of a server that is deleted by now. */
async function anyServerOf(q: Queries, request: ApiRequest<unknown, unknown>): Promise<ServerRow> {
  if (request.version.below("2.21")) return await serverOf(q, request);
  const id = request.param("id");
  const row = isUuidLike(id) ? await findServerEvenDeleted(q, id) : undefined;
  if (!row || !mayKnow(request, row.project_id)) throw serverNotFound(id);
  return row;
}

async function markerOf(
  q: Queries,
  server: ServerRow,
  requestId: string | undefined,
): Promise<InstanceActionRow | undefined> {
  if (requestId === undefined) return undefined;
  const row = await findAction(q, server.id, requestId);
  if (row) return row;
  throw new CloudError("invalid", "compute.marker", `marker [${requestId}] not found`);
}

function actionView(row: InstanceActionRow, request: Pick<ApiRequest, "version">): Json {
  return {
    action: row.action,
    instance_uuid: row.server_id,
    request_id: row.request_id,
    user_id: row.user_id,
    project_id: row.project_id,
    start_time: isoMicros(row.started_at),
    message: row.message,
    ...(request.version.atLeast("2.58") ? { updated_at: isoMicros(row.updated_at) } : {}),
  };
}

function eventView(
  event: ActionEvent,
  server: ServerRow,
  request: Pick<ApiRequest, "version">,
  sees: { full: boolean; details: boolean },
): Json {
  const { version } = request;
  const fault = event.fault === null ? null : (JSON.parse(event.fault) as PublicFault);
  const running = event.finished_at === null;
  return {
    event: event.event,
    start_time: isoMicros(event.started_at),
    finish_time: microsOrNull(event.finished_at),
    result: running ? null : fault ? "Error" : "Success",
    ...(sees.full ? { traceback: fault?.reason ?? null } : {}),
    ...(version.atLeast("2.62") ? { hostId: hostIdOf(server.project_id, event.event_host) } : {}),
    ...(version.atLeast("2.62") && sees.full ? { host: event.event_host } : {}),
    ...(version.atLeast("2.84") && sees.details ? { details: running ? null : (fault?.message ?? null) } : {}),
  };
}
