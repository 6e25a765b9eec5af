import type { Moment } from "../../../kernel/clock/moment.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageOf, renderedPage } from "../../../kernel/http/pagination.ts";
import { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { isLike } from "../domain/name-pattern.ts";
import {
  findServerEvenDeleted,
  listServerStamps,
  listServers,
  type ServerFilter,
  type ServerPage,
  type ServerStamp,
} from "../store/server-lists.ts";
import type { ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { type Asking, SERVER_VIEW_RULES, serverView } from "./server-facts.ts";
import { listingOf, type ServerQuery, serverQuery } from "./server-filters.ts";
import { mayKnow, serverOf, targetOf } from "./server-lookup.ts";
import { ServerPages } from "./server-pages.ts";

/** List, detailed list and show. */
export function serverReads(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const pages = new ServerPages();
  const answers = new RememberedAnswers(deps.kernel);
  const list = (kind: "index" | "detail", read: ReadRows) =>
    route({
      name: kind === "index" ? "servers.list" : "servers.detail",
      method: "GET",
      path: kind === "index" ? "/servers" : "/servers/detail",
      policy: [
        `os_compute_api:servers:${kind}`,
        `os_compute_api:servers:${kind}:get_all_tenants`,
        "os_compute_api:servers:allow_all_filters",
        ...SERVER_VIEW_RULES,
      ],
      query: serverQuery,
      strictQueryFrom: "2.75",
      async handler(request) {
        request.authorize(`os_compute_api:servers:${kind}`, { project_id: request.context.projectId });
        return await answers.of(request, async (q, moment) => {
          const { limit } = pageOf(request, deps.settings.maxLimit);
          const { filter, page } = await wantedPage(q, deps, request, kind, limit);
          const { last, rows } = await read({ q, moment, request }, filter, page);
          return renderedPage(request, "servers", rows, { limit, marker: last?.id });
        });
      },
    });
  return [
    list("index", async ({ q, request }, filter, page) => {
      const stamps = await listServerStamps(q, filter, page);
      return { last: stamps.at(-1), rows: await pages.summaries(q, request, stamps) };
    }),
    list("detail", async ({ q, moment, request }, filter, page) => {
      const heads = await listServers(q, filter, page);
      return { last: heads.at(-1), rows: await pages.details({ q, moment, deps }, request, heads) };
    }),
    route({
      name: "servers.show",
      method: "GET",
      path: "/servers/:id",
      policy: ["os_compute_api:servers:show", ...SERVER_VIEW_RULES],
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize("os_compute_api:servers:show", targetOf(server));
        return { body: { server: await serverView(q, deps, request, server) } };
      },
    }),
  ];
}

/** Reads one page of servers, in JSON. */
type ReadRows = (
  from: { q: Queries; moment: Moment; request: Asking },
  filter: ServerFilter,
  page: ServerPage,
) => Promise<{ last: ServerStamp | undefined; rows: Buffer[] }>;

async function wantedPage(
  q: Queries,
  deps: FaceDependencies,
  request: ApiRequest<unknown, ServerQuery>,
  kind: "index" | "detail",
  limit: number,
): Promise<{ filter: ServerFilter; page: ServerPage }> {
  const { filter, sort, addressLike } = listingOf(request, kind);
  const marker = await markerOf(q, request, request.query.marker);
  const ids = addressLike === undefined ? undefined : await withAddress(q, deps, filter, addressLike);
  return { filter: { ...filter, ids }, page: { limit, marker, sort } };
}

async function markerOf(
  q: Queries,
  request: ApiRequest<unknown, ServerQuery>,
  id: string | undefined,
): Promise<ServerRow | undefined> {
  if (id === undefined) return undefined;
  const row = await findServerEvenDeleted(q, id);
  if (row && mayKnow(request, row.project_id)) return row;
  throw new CloudError("invalid", "compute.marker", `marker [${id}] not found`);
}

/** Servers with an address that fits the pattern, among those that the rest of the filter lets through. */
async function withAddress(
  q: Queries,
  deps: FaceDependencies,
  filter: ServerFilter,
  pattern: string,
): Promise<string[]> {
  const rows = await listServers(q, filter, { limit: MOST_FILTERED_BY_ADDRESS, marker: undefined, sort: [] });
  const addresses = await deps.network.networkInfo(
    q,
    rows.map((row) => row.id),
  );
  return rows
    .map((row) => row.id)
    .filter((id) =>
      Object.values(addresses.get(id) ?? {})
        .flat()
        .some(({ addr }) => isLike(pattern, addr)),
    );
}

/** Stays below the number of variables that both databases take in one statement. */
const MOST_FILTERED_BY_ADDRESS = 10_000;
