import { isUp, servicesOn } from "../../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { liveMigrationProgress } from "../store/migration-lists.ts";
import { groupsOfServer } from "../store/server-groups.ts";
import type { ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { targetOf } from "./server-lookup.ts";
import { serverVersions } from "./server-versions.ts";
import { type Json, type ServerFacts, type ServerVisibility, serverAnswer } from "./server-view.ts";

/** The rules that the full representation of a server asks. */
export const SERVER_VIEW_RULES = [
  "os_compute_api:os-extended-server-attributes",
  "os_compute_api:servers:show:host_status",
  "os_compute_api:servers:show:host_status:unknown-only",
  "os_compute_api:servers:show:flavor-extra-specs",
] as const;

type Asking = Pick<ApiRequest<never, never>, "check" | "context" | "version" | "urls">;

/** The full representations of some servers, in their order, in the request's version. One query per kind of fact. */
export async function serverViews(
  q: Queries,
  deps: FaceDependencies,
  request: Asking,
  rows: readonly ServerRow[],
  options: { withGroups: boolean },
): Promise<Json[]> {
  const ids = rows.map((row) => row.id);
  if (ids.length === 0) return [];
  const [addresses, securityGroups, hostStatus, progress, groups] = await Promise.all([
    deps.network.networkInfo(q, ids),
    deps.network.securityGroupNames(q, ids),
    hostStatuses(q, deps, rows),
    liveMigrationProgress(
      q,
      rows.filter((row) => row.task_state === "migrating").map((row) => row.id),
    ),
    options.withGroups ? groupsOfServer(q, ids[0] ?? "") : undefined,
  ]);
  return rows.map((row) => {
    const facts: ServerFacts = {
      addresses: addresses.get(row.id) ?? {},
      securityGroups: securityGroups.get(row.id) ?? (JSON.parse(row.security_groups) as string[]),
      hostStatus: hostStatus.get(row.host ?? "") ?? "",
      progress: progress.get(row.id) ?? 0,
      groups,
    };
    const answer = serverAnswer(row, facts, visibilityOf(request, row), request.urls);
    return serverVersions.down(request.version, answer).server;
  });
}

function visibilityOf(request: Asking, row: ServerRow): ServerVisibility {
  const target = targetOf(row);
  const all = request.check("os_compute_api:servers:show:host_status", target);
  const unknown = !all && request.check("os_compute_api:servers:show:host_status:unknown-only", target);
  return {
    extendedAttributes: request.check("os_compute_api:os-extended-server-attributes", target),
    hostStatus: all ? "all" : unknown ? "unknownOnly" : "none",
    extraSpecs: request.check("os_compute_api:servers:show:flavor-extra-specs", target),
    isAdmin: request.context.isAdmin,
  };
}

async function hostStatuses(
  q: Queries,
  deps: FaceDependencies,
  rows: readonly ServerRow[],
): Promise<ReadonlyMap<string, string>> {
  const hosts = new Set(rows.flatMap((row) => (row.host === null ? [] : [row.host])));
  if (hosts.size === 0) return new Map();
  const services = (await servicesOn(q, [...hosts])).filter((service) => service.binary_name === "nova-compute");
  const now = deps.kernel.clock.now();
  return new Map(services.map((service) => [service.host, hostStatusOf(service, now, deps.fleet)]));
}

/** In this order: forced down, disabled, heard lately or not. */
export function hostStatusOf(service: ServiceRow, now: number, settings: FleetSettings): string {
  if (service.forced_down === 1) return "DOWN";
  if (service.disabled === 1) return "MAINTENANCE";
  return isUp(service, now, settings) ? "UP" : "UNKNOWN";
}
