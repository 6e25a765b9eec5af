import { Type } from "typebox";
import type { Clock } from "../../clock/clock.ts";
import { CloudError } from "../../errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../http/pagination.ts";
import { pileusFace } from "../../http/pileus-face.ts";
import type { ApiRequest } from "../../http/request.ts";
import { type Route, route } from "../../http/route.ts";
import { DateTime, parseDateTime } from "../../http/schemas.ts";
import { eventStream } from "../../http/sse.ts";
import type { Store, Tx } from "../../store/store.ts";
import type { OperationControl } from "../control.ts";
import { listOperations, type OperationView, showOperation } from "../queries.ts";
import type { OperationState } from "../tables.ts";
import { operationBody, stepBody } from "./operation-views.ts";
import { eventsOf, eventsOfAll, type Watching, whenEnded } from "./operation-watch.ts";

export interface OperationRouteOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly control: OperationControl;
}

const LIST = "pileus:operations:list";
const SHOW = "pileus:operations:show";
const CANCEL = "pileus:operations:cancel";
const RETRY = "pileus:operations:retry";
const LONGEST_WAIT_S = 300;

const STATES: readonly OperationState[] = ["ready", "running", "waiting", "stuck", "done", "undone", "abandoned"];

/** Pileus' own API: `/v1/operations`. */
export const operationsFace = pileusFace({
  name: "operations",
  root: "/v1/operations",
});

export function operationRoutes(options: OperationRouteOptions): Route[] {
  return [
    list(options),
    watchAll(options),
    show(options),
    wait(options),
    watch(options),
    act(options, "cancel", CANCEL, (t, id) => options.control.cancel(t, id)),
    act(options, "retry", RETRY, (t, id) => options.control.retryNow(t, id)),
  ];
}

function list({ store }: OperationRouteOptions): Route {
  return route({
    name: "operations.list",
    method: "GET",
    path: "",
    policy: LIST,
    query: Type.Object({
      ...pageQuery,
      /** One or several, with commas. */
      state: Type.Optional(Type.String({ maxLength: 255 })),
      name: Type.Optional(Type.String({ maxLength: 255 })),
      resource_id: Type.Optional(Type.String({ maxLength: 255 })),
      project_id: Type.Optional(Type.String({ maxLength: 255 })),
      request_id: Type.Optional(Type.String({ maxLength: 255 })),
      since: Type.Optional(DateTime),
    }),
    strictQueryFrom: "always",
    async handler(request) {
      const { state, name, resource_id, request_id, since } = request.query;
      const projectId = visibleProject(request, request.query.project_id);
      const filter = {
        ...(state === undefined ? {} : { state: states(state) }),
        ...(name === undefined ? {} : { name }),
        ...(resource_id === undefined ? {} : { resourceId: resource_id }),
        ...(projectId === undefined ? {} : { projectId }),
        ...(request_id === undefined ? {} : { requestId: request_id }),
        ...(since === undefined ? {} : { since: parseDateTime(since) }),
      };
      const page = pageOf(request);
      const rows = await listOperations(store.read, filter, page);
      const bodies = rows.map((row) => operationBody(row, request.context));
      const markerOf = (row: Record<string, unknown>) => String(row.id);
      return { body: pageBody(request, "operations", bodies, { limit: page.limit, markerOf }) };
    },
  });
}

function show({ store }: OperationRouteOptions): Route {
  return route({
    name: "operations.show",
    method: "GET",
    path: "/:id",
    policy: SHOW,
    async handler(request) {
      const { operation, steps } = await find(store, request, SHOW);
      const viewer = request.context;
      const shown = steps.map((step) => stepBody(step, viewer));
      return { body: { operation: { ...operationBody(operation, viewer), steps: shown } } };
    },
  });
}

function wait(options: OperationRouteOptions): Route {
  return route({
    name: "operations.wait",
    method: "GET",
    path: "/:id/wait",
    policy: SHOW,
    query: Type.Object({
      /** Seconds. The answer is the operation, ended or not. */
      timeout: Type.Optional(Type.Number({ minimum: 0, maximum: LONGEST_WAIT_S })),
    }),
    strictQueryFrom: "always",
    async handler(request) {
      const { operation } = await find(options.store, request, SHOW);
      const expired = new AbortController();
      const timer = options.clock.after((request.query.timeout ?? 60) * 1000, () => expired.abort());
      try {
        const found = await whenEnded(watching(options, request, expired.signal), operation.id);
        return { body: { operation: operationBody(found?.operation ?? operation, request.context) } };
      } finally {
        timer.cancel();
      }
    },
  });
}

function watch(options: OperationRouteOptions): Route {
  return route({
    name: "operations.events",
    method: "GET",
    path: "/:id/events",
    policy: SHOW,
    async handler(request) {
      const { operation } = await find(options.store, request, SHOW);
      return eventStream(request, eventsOf(watching(options, request), operation.id, request.context));
    },
  });
}

function watchAll(options: OperationRouteOptions): Route {
  return route({
    name: "operations.all_events",
    method: "GET",
    path: "/events",
    policy: LIST,
    query: Type.Object({ project_id: Type.Optional(Type.String({ maxLength: 255 })) }),
    strictQueryFrom: "always",
    handler(request) {
      const projectId = visibleProject(request, request.query.project_id);
      const wanted = (operation: OperationView) => projectId === undefined || operation.projectId === projectId;
      return eventStream(request, eventsOfAll(watching(options, request), request.context, wanted));
    },
  });
}

/** What is asked of one operation and only takes a transaction. */
function act(
  { store }: OperationRouteOptions,
  verb: string,
  rule: string,
  work: (t: Tx, operationId: string) => Promise<unknown>,
): Route {
  return route({
    name: `operations.${verb}`,
    method: "POST",
    path: `/:id/${verb}`,
    policy: rule,
    success: 202,
    async handler(request) {
      const { operation } = await find(store, request, rule);
      await store.tx((t) => work(t, operation.id));
      return undefined;
    },
  });
}

type AnyRequest = Pick<ApiRequest, "param" | "authorize" | "check" | "context" | "signal" | "closing">;

/** Another project's operation is as good as none. */
async function find(store: Store, request: AnyRequest, rule: string) {
  const found = await showOperation(store.read, request.param("id"));
  const target = { project_id: found?.operation.projectId ?? null };
  const own = found !== undefined && found.operation.projectId === request.context.projectId;
  if (!found || !(own || request.check(rule, target))) {
    // Who may not use the rule at all learns that, and nothing about which operations exist.
    request.authorize(rule, { project_id: request.context.projectId });
    throw new CloudError("notFound", "operation.not_found", `There is no operation ${request.param("id")}.`);
  }
  request.authorize(rule, target);
  return found;
}

/** The project whose operations the caller sees; undefined: all. Asks the policy. */
function visibleProject(request: AnyRequest, asked: string | undefined): string | undefined {
  if (asked === undefined && request.check(LIST, { project_id: null })) return undefined;
  const projectId = asked ?? request.context.projectId;
  request.authorize(LIST, { project_id: projectId });
  return projectId ?? undefined;
}

function states(text: string): OperationState[] {
  return text.split(",").map((each) => {
    const state = STATES.find((known) => known === each.trim());
    if (!state) throw new CloudError("invalid", "operation.bad_state", `State is one of ${STATES.join(", ")}.`);
    return state;
  });
}

function watching(options: OperationRouteOptions, request: AnyRequest, ...more: AbortSignal[]): Watching {
  const over = AbortSignal.any([request.signal, request.closing, ...more]);
  return { store: options.store, clock: options.clock, over };
}
