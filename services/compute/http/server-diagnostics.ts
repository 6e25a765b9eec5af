import type { CardTraffic, DiskTraffic, GuestDiagnostics } from "../../../agent/protocol/diagnostics.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { hostOf } from "../domain/can.ts";
import { POWER } from "../domain/server-state.ts";
import { factsOf, getHost } from "../store/hosts.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-server-diagnostics";
const NS_PER_S = 1_000_000_000;

/** `/servers/{id}/diagnostics`: what the running guest has used, as its host measures it. */
export function diagnosticsRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "servers.diagnostics",
      method: "GET",
      path: "/servers/:id/diagnostics",
      policy: RULE,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(RULE, targetOf(server));
        const host = hostOf(server);
        if (server.power_state !== POWER.running) throw notRunning(server.id);
        const figures = await deps.diagnose(host, server.id).catch((error: unknown) => {
          if (!(error instanceof CloudError) || !error.code.startsWith("compute.guest_not_")) throw error;
          throw notRunning(server.id);
        });
        if (request.version.below("2.48")) return { body: oldView(figures) };
        const { hypervisorType } = factsOf(await getHost(q, host));
        return {
          body: view(figures, { hypervisor: hypervisorType.toLowerCase(), configDrive: server.config_drive === 1 }),
        };
      },
    }),
  ];
}

/** From 2.48 on: the same keys whatever the hypervisor. */
function view(figures: GuestDiagnostics, server: { hypervisor: string; configDrive: boolean }): Json {
  const { cpus, nics, disks, memory, uptimeS } = figures;
  return {
    state: "running",
    // Clients know a closed list of drivers; this is the one for QEMU's guests.
    driver: "libvirt",
    hypervisor: server.hypervisor,
    hypervisor_os: "linux",
    uptime: uptimeS,
    config_drive: server.configDrive,
    num_cpus: cpus.length,
    num_nics: nics.length,
    num_disks: disks.length,
    cpu_details: cpus.map(({ id, timeNs }) => ({ id, time: timeNs, utilisation: percent(timeNs, uptimeS) })),
    nic_details: nics.map((nic) => ({ mac_address: nic.mac, ...rename(nic, NEW_NIC), rx_rate: null, tx_rate: null })),
    disk_details: disks.map((disk) => rename(disk, NEW_DISK)),
    memory_details: { maximum: memory.maximumMiB, used: memory.usedMiB },
  };
}

/** Before 2.48: what libvirt's driver called it. Memory in KiB. */
function oldView({ cpus, nics, disks, memory }: GuestDiagnostics): Json {
  const prefixed = (prefix: string, figures: Json) =>
    Object.entries(figures).map(([name, value]) => [`${prefix}_${name}`, value]);
  return Object.fromEntries([
    ...cpus.map(({ id, timeNs }) => [`cpu${id}_time`, timeNs]),
    ...disks.flatMap((disk, at) => prefixed(`vd${String.fromCharCode(97 + at)}`, rename(disk, OLD_DISK))),
    ...nics.flatMap((nic) => prefixed(`tap${nic.portId.slice(0, 11)}`, rename(nic, OLD_NIC))),
    ["memory", memory.maximumMiB * 1024],
    ["memory-actual", memory.maximumMiB * 1024],
    ...(memory.usedMiB === null ? [] : [["memory-rss", memory.usedMiB * 1024]]),
  ]);
}

const NEW_NIC = {
  rx_octets: "rxBytes",
  rx_packets: "rxPackets",
  rx_errors: "rxErrors",
  rx_drop: "rxDrop",
  tx_octets: "txBytes",
  tx_packets: "txPackets",
  tx_errors: "txErrors",
  tx_drop: "txDrop",
} as const satisfies Record<string, keyof CardTraffic>;
const { rx_octets: rx, tx_octets: tx, ...OLD_COUNTS } = NEW_NIC;
const OLD_NIC = { rx, tx, ...OLD_COUNTS };

const NEW_DISK = {
  read_bytes: "readBytes",
  read_requests: "readRequests",
  write_bytes: "writeBytes",
  write_requests: "writeRequests",
  errors_count: "errors",
} as const satisfies Record<string, keyof DiskTraffic>;
const OLD_DISK = {
  read: "readBytes",
  read_req: "readRequests",
  write: "writeBytes",
  write_req: "writeRequests",
  errors: "errors",
} as const satisfies Record<string, keyof DiskTraffic>;

/** The figures under other names. */
function rename<T>(figures: T, names: Readonly<Record<string, keyof T>>): Json {
  return Object.fromEntries(Object.entries(names).map(([name, key]) => [name, figures[key]]));
}

/** Of one processor, since the guest was started. */
function percent(timeNs: number, uptimeS: number): number {
  return uptimeS === 0 ? 0 : Math.min(100, Math.round((100 * timeNs) / (uptimeS * NS_PER_S)));
}

function notRunning(id: string): CloudError {
  return new CloudError(
    "conflict",
    "compute.not_running",
    `Instance ${id} in power state not running. Cannot get_diagnostics while the instance is in this state.`,
  );
}
