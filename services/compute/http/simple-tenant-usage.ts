import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { parseDateTime } from "../../../kernel/http/schemas.ts";
import { findServerEvenDeleted } from "../store/server-lists.ts";
import { listUsedServers, type UsagePeriod } from "../store/server-usage.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { projectUsage, type ServerUsage, serverUsage } from "./usage-view.ts";

const RULE = "os_compute_api:os-simple-tenant-usage";

const Time = Type.Optional(Type.String({ format: "iso-date-time" }));
const period = { start: Time, end: Time, detailed: Type.Optional(Type.String()) };
const Paged = Type.Object({ ...period, ...pageQuery });
const query = byVersion<typeof Paged>({ "2.1": Type.Object(period) as unknown as typeof Paged, "2.40": Paged });
interface UsageQuery {
  start?: string;
  end?: string;
  detailed?: string;
  limit?: number;
  marker?: string;
}

/** `/os-simple-tenant-usage`: hours that servers existed, times what they are made of. */
export function simpleTenantUsageRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "usage.list",
      method: "GET",
      path: "/os-simple-tenant-usage",
      policy: `${RULE}:list`,
      query,
      strictQueryFrom: "2.75",
      async handler(request) {
        request.authorize(`${RULE}:list`);
        const { servers, when, page } = await read(request, null);
        const projects = Map.groupBy(servers, (server) => server.tenant_id);
        const detailed = request.query.detailed === "1";
        const usages = [...projects].map(([id, ofProject]) => projectUsage(id, ofProject, when, detailed));
        return { body: { ...links(request, "tenant_usages", servers, page), tenant_usages: usages } };
      },
    }),
    route({
      name: "usage.show",
      method: "GET",
      path: "/os-simple-tenant-usage/:id",
      policy: `${RULE}:show`,
      query,
      strictQueryFrom: "2.75",
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:show`, { project_id: id });
        const { servers, when, page } = await read(request, id);
        const usage = servers.length === 0 ? {} : projectUsage(id, servers, when, true);
        return { body: { ...links(request, "tenant_usage", servers, page), tenant_usage: usage } };
      },
    }),
  ];

  async function read(request: ApiRequest<unknown, UsageQuery>, projectId: string | null) {
    const now = deps.kernel.clock.now();
    const when = periodOf(request.query, now);
    const page = request.version.atLeast("2.40") ? pageOf(request, deps.settings.maxLimit) : undefined;
    const marker = page?.marker;
    if (marker !== undefined && !(await findServerEvenDeleted(q, marker)))
      throw new CloudError("invalid", "compute.marker", `marker [${marker}] not found`);
    const rows = await listUsedServers(q, when, { projectId, limit: page?.limit, marker });
    return { servers: rows.map((row) => serverUsage(row, when, now)), when, page };
  }
}

/** Both ends are now unless given. Throws 400 when a given period is empty. */
function periodOf(query: UsageQuery, now: number): UsagePeriod {
  const start = query.start === undefined ? now : parseDateTime(query.start);
  const end = query.end === undefined ? now : parseDateTime(query.end);
  if (start > end) {
    const why = "Invalid start time. The start time cannot occur after the end time.";
    throw new CloudError("invalid", "compute.usage_period", why);
  }
  return { start, end };
}

/** The link to the next page of servers; pages exist since 2.40. */
function links(
  request: ApiRequest<unknown, UsageQuery>,
  collection: string,
  servers: readonly ServerUsage[],
  page: { limit: number } | undefined,
): Record<string, unknown> {
  if (!page) return {};
  return pageBody(request, collection, servers, { limit: page.limit, markerOf: (server) => server.instance_id });
}
