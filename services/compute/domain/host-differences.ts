import type { GuestFacts } from "../../../agent/protocol/compute.ts";
import { type DeviceOfServer, diskDifferences } from "./disk-differences.ts";
import type { TaskState, VmState } from "./server-state.ts";

/** What the database says of one host. */
export interface HostRecord {
  /** The servers that live there. */
  readonly servers: readonly {
    readonly id: string;
    readonly vm_state: VmState;
    readonly task_state: TaskState | null;
  }[];
  /** The volumes of those servers. */
  readonly devices: readonly (DeviceOfServer & { readonly server_id: string })[];
  /** Servers that live elsewhere, or nowhere any more, for which room is held there. */
  readonly held: ReadonlySet<string>;
}

/** What a host runs and the database does not expect, or the other way round. Servers that are being worked on do not count. */
export interface HostDifferences {
  /** Servers that should run or be paused, and are not. */
  readonly off: readonly string[];
  /** Servers of `held`: something of them may be there. */
  readonly left: readonly string[];
  /** Guests of which the database knows nothing there. */
  readonly unknown: readonly string[];
  /** Guests that run or are paused although their server says otherwise. */
  readonly unexpected: readonly string[];
  /** Disks that guests are to have, and have not. */
  readonly lacks: readonly GuestDisk[];
  /** Disks that guests have, and are not to have. */
  readonly extra: readonly GuestDisk[];
}

export interface GuestDisk {
  readonly serverId: string;
  readonly volumeId: string;
}

export function hostDifferences(record: HostRecord, guests: readonly GuestFacts[]): HostDifferences {
  const power = new Map(guests.map((guest) => [guest.serverId, guest.power]));
  const settled = record.servers.filter((server) => server.task_state === null);
  const isOn = (id: string) => power.get(id) === "running" || power.get(id) === "paused";
  const devices = Map.groupBy(record.devices, (device) => device.server_id);
  const shouldBeOn = new Set(settled.filter(({ vm_state }) => wantedPower(vm_state) !== null).map(({ id }) => id));
  const disks = (kind: "lacks" | "extra") =>
    guests
      .filter(({ serverId }) => shouldBeOn.has(serverId) && isOn(serverId))
      .flatMap(({ serverId, volumeIds }) =>
        diskDifferences(devices.get(serverId) ?? [], volumeIds)[kind].map((volumeId) => ({ serverId, volumeId })),
      );
  const known = new Set([...record.servers.map((server) => server.id), ...record.held]);
  return {
    off: [...shouldBeOn].filter((id) => !isOn(id)),
    left: [...record.held],
    unknown: [...power.keys()].filter((id) => !known.has(id)),
    unexpected: settled.filter(({ id, vm_state }) => isOn(id) && isOddFor(vm_state, power.get(id))).map(({ id }) => id),
    lacks: disks("lacks"),
    extra: disks("extra"),
  };
}

/** What is different both times. */
export function inBoth(one: HostDifferences, other: HostDifferences): HostDifferences {
  const both = (kind: "off" | "left" | "unknown" | "unexpected") => one[kind].filter((id) => other[kind].includes(id));
  const disks = (kind: "lacks" | "extra") =>
    one[kind].filter((disk) =>
      other[kind].some(({ serverId, volumeId }) => serverId === disk.serverId && volumeId === disk.volumeId),
    );
  return {
    off: both("off"),
    left: both("left"),
    unknown: both("unknown"),
    unexpected: both("unexpected"),
    lacks: disks("lacks"),
    extra: disks("extra"),
  };
}

function wantedPower(vm: VmState): "running" | "paused" | null {
  if (vm === "active") return "running";
  return vm === "paused" ? "paused" : null;
}

/** Of a server in error, or one whose resize waits, nothing is expected. */
function isOddFor(vm: VmState, power: string | undefined): boolean {
  return vm === "stopped" || (wantedPower(vm) !== null && wantedPower(vm) !== power);
}
