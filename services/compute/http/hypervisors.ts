import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { QueryBoolean } from "../../../kernel/http/schemas.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { type GuestOnHost, type Hypervisor, listHypervisors, serversOn } from "../store/host-lists.ts";
import type { FaceDependencies } from "./dependencies.ts";
import {
  hypervisorDetail,
  hypervisorSummary,
  hypervisorVersions,
  stateOf,
  statisticsOf,
  uptimeText,
  withServers,
} from "./hypervisor-view.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-hypervisors";
const Newest = Type.Object({
  ...pageQuery,
  hypervisor_hostname_pattern: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  with_servers: Type.Optional(QueryBoolean),
});
type Listing = { limit?: number; marker?: string; hypervisor_hostname_pattern?: string; with_servers?: boolean };

const listQuery = byVersion<typeof Newest>({
  "2.1": Type.Object({}) as unknown as typeof Newest,
  "2.33": Type.Object(pageQuery) as unknown as typeof Newest,
  "2.53": Newest,
});
const ShowQuery = Type.Object({ with_servers: Type.Optional(QueryBoolean) });
const LAST_WITH_INVENTORY = "2.87";
const LAST_WITH_PATTERNS = "2.52";

/** Compute hosts as hypervisors. */
export function hypervisorRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const list = (detailed: boolean) =>
    route({
      name: detailed ? "hypervisors.detail" : "hypervisors.list",
      method: "GET",
      path: detailed ? "/os-hypervisors/detail" : "/os-hypervisors",
      policy: detailed ? `${RULE}:list-detail` : `${RULE}:list`,
      query: listQuery,
      strictQueryFrom: "2.53",
      async handler(request) {
        request.authorize(detailed ? `${RULE}:list-detail` : `${RULE}:list`);
        const { query } = request;
        const { limit } = pageOf(request, deps.settings.maxLimit);
        const found = await findPage(q, request, query, limit);
        const named = query.with_servers === true;
        const guests = await guestsOf(q, found, named || needsCounts(request, detailed));
        const views = found.map((each) => render(each, guests, deps, request, { detailed, named }));
        return { body: pageBody(request, "hypervisors", views, { limit, markerOf: (view) => String(view.id) }) };
      },
    });
  return [
    list(false),
    list(true),
    route({
      name: "hypervisors.statistics",
      method: "GET",
      path: "/os-hypervisors/statistics",
      policy: `${RULE}:statistics`,
      maxVersion: LAST_WITH_INVENTORY,
      async handler(request) {
        request.authorize(`${RULE}:statistics`);
        const all = await listHypervisors(q, {}, { limit: EVERYTHING, after: 0 });
        const guests = await serversOn(
          q,
          all.map(({ host }) => host.host),
        );
        return { body: { hypervisor_statistics: statisticsOf(all, guests) } };
      },
    }),
    route({
      name: "hypervisors.show",
      method: "GET",
      path: "/os-hypervisors/:id",
      policy: `${RULE}:show`,
      query: byVersion<typeof ShowQuery>({ "2.1": Type.Object({}) as unknown as typeof ShowQuery, "2.53": ShowQuery }),
      strictQueryFrom: "2.53",
      async handler(request) {
        request.authorize(`${RULE}:show`);
        const found = await byId(q, request);
        const named = request.query.with_servers === true;
        const guests = await guestsOf(q, [found], named || needsCounts(request, true));
        return { body: { hypervisor: render(found, guests, deps, request, { detailed: true, named }) } };
      },
    }),
    route({
      name: "hypervisors.uptime",
      method: "GET",
      path: "/os-hypervisors/:id/uptime",
      policy: `${RULE}:uptime`,
      maxVersion: LAST_WITH_INVENTORY,
      async handler(request) {
        request.authorize(`${RULE}:uptime`);
        const found = await byId(q, request);
        if (stateOf(found.service, deps) === "down") {
          throw new CloudError("invalid", "compute.host_down", `Service unavailable: ${found.host.host} is down.`);
        }
        const summary = hypervisorVersions.down(request.version, hypervisorSummary(found, deps));
        return { body: { hypervisor: { ...summary.view, uptime: uptimeText(found, deps) } } };
      },
    }),
    byPattern("search"),
    byPattern("servers"),
  ];

  function byPattern(kind: "search" | "servers"): Route {
    return route({
      name: `hypervisors.${kind}`,
      method: "GET",
      path: `/os-hypervisors/:id/${kind}`,
      policy: `${RULE}:${kind}`,
      maxVersion: LAST_WITH_PATTERNS,
      async handler(request) {
        request.authorize(`${RULE}:${kind}`);
        const found = await matching(q, request.param("id"));
        const named = kind === "servers";
        const guests = await guestsOf(q, found, named);
        const views = found.map((each) => render(each, guests, deps, request, { detailed: false, named }));
        return { body: { hypervisors: views } };
      },
    });
  }
}

const EVERYTHING = 100_000;

/** Older details count the servers on the host. */
function needsCounts(request: Pick<ApiRequest, "version">, detailed: boolean): boolean {
  return detailed && request.version.below("2.88");
}

function render(
  found: Hypervisor,
  guests: readonly GuestOnHost[],
  deps: FaceDependencies,
  request: Pick<ApiRequest, "version">,
  { detailed, named }: { detailed: boolean; named: boolean },
): Json {
  const answer = detailed ? hypervisorDetail(found, guests, deps) : hypervisorSummary(found, deps);
  if (named) withServers(answer, guests);
  return hypervisorVersions.down(request.version, answer).view;
}

async function guestsOf(q: Queries, found: readonly Hypervisor[], wanted: boolean): Promise<GuestOnHost[]> {
  if (!wanted) return [];
  return await serversOn(
    q,
    found.map(({ host }) => host.host),
  );
}

async function findPage(
  q: Queries,
  request: Pick<ApiRequest, "version">,
  query: Listing,
  limit: number,
): Promise<Hypervisor[]> {
  const pattern = query.hypervisor_hostname_pattern;
  if (pattern !== undefined) {
    if (query.limit !== undefined || query.marker !== undefined) {
      throw new CloudError(
        "invalid",
        "compute.hypervisor_query",
        "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.",
      );
    }
    return await matching(q, pattern);
  }
  const after = query.marker === undefined ? 0 : await numberOfMarker(q, request, query.marker);
  return limit === 0 ? [] : await listHypervisors(q, {}, { limit, after });
}

async function matching(q: Queries, namePart: string): Promise<Hypervisor[]> {
  const found = await listHypervisors(q, { namePart }, { limit: EVERYTHING, after: 0 });
  if (found.length === 0) throw notFound(namePart, "No hypervisor matching");
  return found;
}

async function numberOfMarker(q: Queries, request: Pick<ApiRequest, "version">, marker: string): Promise<number> {
  const found = await findOne(q, request, marker);
  if (found) return found.host.number;
  throw new CloudError("invalid", "compute.marker", `marker [${marker}] not found`);
}

async function findOne(q: Queries, request: Pick<ApiRequest, "version">, id: string): Promise<Hypervisor | undefined> {
  const one = { limit: 1, after: 0 };
  if (request.version.atLeast("2.53")) return (await listHypervisors(q, { uuid: id }, one))[0];
  return /^\d{1,15}$/.test(id) ? (await listHypervisors(q, { number: Number(id) }, one))[0] : undefined;
}

async function byId(q: Queries, request: ApiRequest<unknown, unknown>): Promise<Hypervisor> {
  const id = request.param("id");
  if (request.version.atLeast("2.53") && !isUuidLike(id)) {
    throw new CloudError("invalid", "compute.hypervisor_id", `Invalid uuid ${id.slice(0, 80)}`);
  }
  const found = await findOne(q, request, id);
  if (!found) throw notFound(id, "Hypervisor with ID");
  return found;
}

function notFound(what: string, prefix: string): CloudError {
  return new CloudError(
    "notFound",
    "compute.hypervisor_not_found",
    `${prefix} '${what.slice(0, 80)}' could not be found.`,
  );
}
