import { isUp } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { GuestOnHost, Hypervisor } from "../store/host-lists.ts";
import { factsOf } from "../store/hosts.ts";
import type { FaceDependencies } from "./dependencies.ts";
import type { Json } from "./server-view.ts";

/** The newest shape of a hypervisor, and what older shapes need besides. */
export interface HypervisorAnswer {
  readonly view: Json;
  readonly number: number;
  readonly serviceNumber: number;
  /** Of the detailed form: what was removed in 2.88. */
  readonly inventory: Json | undefined;
}

export function stateOf(service: ServiceRow, deps: FaceDependencies): "up" | "down" {
  return isUp(service, deps.kernel.clock.now(), deps.fleet) ? "up" : "down";
}

export function hypervisorSummary({ host, service }: Hypervisor, deps: FaceDependencies): HypervisorAnswer {
  return {
    view: {
      id: host.uuid,
      hypervisor_hostname: host.host,
      state: stateOf(service, deps),
      status: service.disabled === 1 ? "disabled" : "enabled",
    },
    number: host.number,
    serviceNumber: service.number,
    inventory: undefined,
  };
}

export function hypervisorDetail(
  found: Hypervisor,
  guests: readonly GuestOnHost[],
  deps: FaceDependencies,
): HypervisorAnswer {
  const summary = hypervisorSummary(found, deps);
  const facts = factsOf(found.host);
  return {
    ...summary,
    view: {
      ...summary.view,
      hypervisor_type: facts.hypervisorType,
      hypervisor_version: facts.hypervisorVersion,
      host_ip: facts.migrationAddress,
      service: {
        id: found.service.uuid,
        host: found.service.host,
        disabled_reason: found.service.disabled_reason,
      },
      uptime: stateOf(found.service, deps) === "up" ? uptimeText(found, deps) : null,
    },
    inventory: { ...inventoryOf(found, guests), cpu_info: facts.cpuInfo },
  };
}

/** Adds the servers on the host. */
export function withServers(answer: HypervisorAnswer, guests: readonly GuestOnHost[]): void {
  const host = answer.view.hypervisor_hostname;
  answer.view.servers = guests.filter((guest) => guest.host === host).map(({ id, name }) => ({ name, uuid: id }));
}

/** Each microversion that changed how a hypervisor looks. */
export const hypervisorVersions = versionSteps<HypervisorAnswer>([
  {
    since: "2.28",
    name: "cpu_info as an object",
    down({ view }) {
      if ("cpu_info" in view) view.cpu_info = JSON.stringify(view.cpu_info);
    },
  },
  {
    since: "2.53",
    name: "UUIDs instead of numbers",
    down(answer) {
      answer.view.id = answer.number;
      const { service } = answer.view;
      if (typeof service === "object") (service as Json).id = answer.serviceNumber;
    },
  },
  {
    since: "2.75",
    name: "empty list of servers",
    down({ view }) {
      if (Array.isArray(view.servers) && view.servers.length === 0) delete view.servers;
    },
  },
  {
    since: "2.88",
    name: "inventory removed, uptime added",
    down(answer) {
      delete answer.view.uptime;
      Object.assign(answer.view, answer.inventory);
    },
  },
]);

const MOVING = ["resize_prep", "resize_migrating", "migrating", "spawning", "rebuilding", "deleting"];

function inventoryOf({ host }: Hypervisor, guests: readonly GuestOnHost[]): Record<string, number> {
  const here = guests.filter((guest) => guest.host === host.host);
  return {
    vcpus: host.vcpus,
    memory_mb: host.ram_mib,
    local_gb: host.disk_gib,
    vcpus_used: host.vcpus_used,
    memory_mb_used: host.ram_used_mib,
    local_gb_used: host.disk_used_gib,
    free_ram_mb: host.ram_mib - host.ram_used_mib,
    free_disk_gb: host.disk_gib - host.disk_used_gib,
    current_workload: here.filter((guest) => guest.task_state !== null && MOVING.includes(guest.task_state)).length,
    running_vms: here.length,
    disk_available_least: host.disk_gib - host.disk_used_gib,
  };
}

/** The sums over all hypervisors that are enabled. */
export function statisticsOf(all: readonly Hypervisor[], guests: readonly GuestOnHost[]): Json {
  const enabled = all.filter(({ service }) => service.disabled === 0);
  const sums: Record<string, number> = { count: enabled.length };
  for (const name of Object.keys(EMPTY)) sums[name] = 0;
  for (const found of enabled) {
    for (const [name, value] of Object.entries(inventoryOf(found, guests))) sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}

const EMPTY = {
  vcpus: 0,
  memory_mb: 0,
  local_gb: 0,
  vcpus_used: 0,
  memory_mb_used: 0,
  local_gb_used: 0,
  free_ram_mb: 0,
  free_disk_gb: 0,
  current_workload: 0,
  running_vms: 0,
  disk_available_least: 0,
};

/**
 * The beginning of what the `uptime` command says; users and load are not measured, and clients do without them.
 * The facts say how long the host was up when its agent measured.
 */
export function uptimeText({ host }: Hypervisor, deps: FaceDependencies): string {
  const now = deps.kernel.clock.now();
  const seconds = Math.floor(factsOf(host).uptimeS + (now - host.updated_at) / 1000);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = String(Math.floor((seconds % 3600) / 60)).padStart(2, "0");
  const time = new Date(now).toISOString().slice(11, 19);
  return ` ${time} up ${days} days, ${hours}:${minutes}`;
}
