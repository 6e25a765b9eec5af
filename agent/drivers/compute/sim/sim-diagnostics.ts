import type { GuestDiagnostics } from "../../../protocol/diagnostics.ts";
import type { SimGuest } from "./sim-host.ts";

const TICK_NS = 1_000_000;
/** What a tick writes. */
export const TICK_BYTES = 4096;

/** A simulated guest does nothing but tick: each costs it some time and one write. */
export function simDiagnostics(guest: SimGuest, ticks: number): GuestDiagnostics {
  const still = { readBytes: 0, readRequests: 0, writeBytes: 0, writeRequests: 0, errors: 0 };
  const idle = guest.volumes.filter((volume) => !volume.root);
  const none = { rxBytes: 0, rxPackets: 0, rxErrors: 0, rxDrop: 0, txBytes: 0, txPackets: 0, txErrors: 0, txDrop: 0 };
  return {
    uptimeS: ticks,
    cpus: Array.from({ length: guest.vcpus }, (_, id) => ({ id, timeNs: id === 0 ? ticks * TICK_NS : 0 })),
    nics: guest.nics.map(({ portId, mac }) => ({ portId, mac, ...none })),
    disks: [{ ...still, writeBytes: ticks * TICK_BYTES, writeRequests: ticks }, ...idle.map(() => still)],
    memory: { maximumMiB: guest.ramMiB, usedMiB: null },
  };
}
