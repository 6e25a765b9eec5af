import { Moment } from "../../../kernel/clock/moment.ts";
import { isUpAt, servicesOn } from "../../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { BlockDeviceRow } from "../store/block-device-tables.ts";
import { blockDevicesByServer } from "../store/block-devices.ts";
import { liveMigrationProgress } from "../store/migration-lists.ts";
import { groupsOfServer } from "../store/server-groups.ts";
import type { ServerHead } from "../store/server-lists.ts";
import type { ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { targetOf } from "./server-lookup.ts";
import { serverVersions } from "./server-versions.ts";
import {
  type AttachedVolume,
  type Json,
  type ServerFacts,
  type ServerVisibility,
  serverAnswer,
} from "./server-view.ts";

/** The rules that the full representation of a server asks. */
export const SERVER_VIEW_RULES = [
  "os_compute_api:os-extended-server-attributes",
  "os_compute_api:servers:show:host_status",
  "os_compute_api:servers:show:host_status:unknown-only",
  "os_compute_api:servers:show:flavor-extra-specs",
] as const;

export type Asking = Pick<ApiRequest<never, never>, "check" | "context" | "version" | "urls">;

/** The full representation of one server in the request's version. */
export async function serverView(q: Queries, deps: FaceDependencies, request: Asking, row: ServerRow): Promise<Json> {
  const moment = new Moment(deps.kernel.clock.now());
  const [factsOf, groups] = await Promise.all([factsOfServers({ q, moment, deps }, [row]), groupsOfServer(q, row.id)]);
  return viewOf(request, row, { ...factsOf(row), groups }, visibilityOf(request, row));
}

/** The full representation of a server of which everything is known. */
export function viewOf(request: Asking, row: ServerRow, facts: ServerFacts, sees: ServerVisibility): Json {
  return serverVersions.down(request.version, serverAnswer(row, facts, sees, request.urls)).server;
}

/** Where the facts of servers come from. */
export interface FactSources {
  readonly q: Queries;
  readonly moment: Moment;
  readonly deps: Pick<FaceDependencies, "network" | "fleet">;
}

/** Reads what lists show of servers beside their rows: one query per kind of fact. */
export async function factsOfServers(
  { q, moment, deps }: FactSources,
  heads: readonly ServerHead[],
): Promise<(head: ServerHead) => ServerFacts> {
  const ids = heads.map((head) => head.id);
  const migrating = heads.filter((head) => head.task_state === "migrating").map((head) => head.id);
  const [addresses, securityGroups, hostStatus, progress, devices] = await Promise.all([
    deps.network.networkInfo(q, ids),
    deps.network.securityGroupNames(q, ids),
    hostStatuses({ q, moment, deps }, heads),
    liveMigrationProgress(q, migrating),
    blockDevicesByServer(q, ids),
  ]);
  return ({ id, host }) => ({
    addresses: addresses.get(id) ?? {},
    securityGroups: securityGroups.get(id),
    hostStatus: hostStatus.get(host ?? "") ?? "",
    progress: progress.get(id) ?? 0,
    volumes: attachedVolumes(devices.get(id) ?? []),
    groups: undefined,
  });
}

function attachedVolumes(devices: readonly BlockDeviceRow[]): AttachedVolume[] {
  return devices.flatMap(({ volume_id: id, delete_on_termination }) =>
    id === null ? [] : [{ id, delete_on_termination: delete_on_termination === 1 }],
  );
}

export function visibilityOf(request: Asking, row: Pick<ServerRow, "project_id" | "user_id">): ServerVisibility {
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
  { q, moment, deps }: FactSources,
  heads: readonly ServerHead[],
): Promise<ReadonlyMap<string, string>> {
  const hosts = new Set(heads.flatMap(({ host }) => (host === null ? [] : [host])));
  if (hosts.size === 0) return new Map();
  const services = (await servicesOn(q, [...hosts])).filter((service) => service.binary_name === "nova-compute");
  return new Map(services.map((service) => [service.host, hostStatusOf(service, moment, deps.fleet)]));
}

/** In this order: forced down, disabled, heard lately or not. */
function hostStatusOf(service: ServiceRow, moment: Moment, settings: FleetSettings): string {
  if (service.forced_down === 1) return "DOWN";
  if (service.disabled === 1) return "MAINTENANCE";
  return isUpAt(service, moment, settings) ? "UP" : "UNKNOWN";
}
