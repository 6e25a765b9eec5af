import { rm } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isUnreachable } from "../../../process/qmp.ts";
import type { GuestFacts, GuestPower, GuestSpec, Nic } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { RemoveOptions } from "../driver.ts";
import { bringCards } from "./cards.ts";
import { ensureDiskNotServed } from "./cold-migration.ts";
import { claimDisk, ensureRootDisk, removeDisks } from "./disks.ts";
import { liftFence, requireNotFenced } from "./fence-marker.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { checkSpec, launch } from "./launch.ts";
import { settleUnattended } from "./migration-source.ts";
import { endProcess, stopGuest } from "./stop.ts";
import { bringVolumes, UNPLUG_LIMIT_MS } from "./volumes.ts";

export type WantedPower = "running" | "stopped" | "paused";

/** Makes the guest exist as the spec says and brings it to `power`. */
export async function ensureGuest(host: Host, spec: GuestSpec, power: WantedPower, call: Call): Promise<GuestFacts> {
  checkSpec(spec);
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    const before = (await guest.load()) ? guest.spec.nics : [];
    await guest.adopt(spec);
    await settleUnattended(guest);
    refuseIncoming(guest);
    const now = await guest.power();
    if (now !== "running" && now !== "paused") await removeTaps(host, cardsWithout(before, spec.nics));
    if (power === "stopped") {
      if (now !== "stopped") await stopGuest(host, guest, 0, call);
      await ensureRootDisk(host.files, spec, call);
      await claimDisk(host.files, spec, host.options.host);
    } else if (now === "running" || now === "paused") {
      // Only a guest that runs can let go of a device.
      if (power === "running") await setPaused(guest, false);
      await bringCards(host, guest, call.signal);
      await bringVolumes(host, guest, UNPLUG_LIMIT_MS, call.signal);
      if (power === "paused") await setPaused(guest, true);
    } else {
      await start(host, guest, power, call);
    }
    return guest.facts();
  });
}

/** Starts a process for the guest, in place of what is left of an earlier one. */
export async function start(host: Host, guest: Guest, power: "running" | "paused", call: Call): Promise<void> {
  await requireNotFenced(host.options.stateDir, guest.id, call.epoch);
  await endProcess(host, guest);
  await ensureDiskNotServed(host, guest);
  const rootDisk = await ensureRootDisk(host.files, guest.spec, call);
  await claimDisk(host.files, guest.spec, host.options.host);
  await guest.update({ intent: power, moved: false, outgoing: null, incoming: null });
  await launch(host, guest, { rootDisk, start: power }, call);
}

export async function setPaused(guest: Guest, paused: boolean): Promise<void> {
  const qmp = await guest.qmp();
  const power = await guest.power();
  if (power !== "running" && power !== "paused") {
    throw new CloudError("conflict", "compute.guest_not_running", "The guest is not running.");
  }
  await guest.update({ intent: paused ? "paused" : "running" });
  await qmp.execute(paused ? "stop" : "cont");
}

/** Restarts the guest once for each command: a process other than the one it began with is the proof that it was done. */
export async function reboot(
  host: Host,
  guest: Guest,
  options: { type: "soft" | "hard"; graceMs: number },
  call: Call,
): Promise<GuestFacts> {
  const pid = await guest.pid();
  if (guest.record.reboot?.key !== call.key) await guest.update({ reboot: { key: call.key, pid } });
  const replaced = guest.record.reboot?.pid ?? null;
  if (pid !== null && pid === replaced) {
    await stopGuest(host, guest, options.type === "soft" ? options.graceMs : 0, call);
  }
  if (!(await guest.isAlive())) await start(host, guest, "running", call);
  return guest.facts();
}

/** Removes the guest from this host. A disk that the guest took along to another host is not touched. */
export async function ensureGuestAbsent(host: Host, serverId: string, options: RemoveOptions): Promise<void> {
  const guest = await host.guest(serverId);
  await guest.exclusive(async () => {
    const elsewhere = (await guest.load()) && (await removeKnown(host, guest)) === "elsewhere";
    const shared = options.evenIfOwnedElsewhere ? "always" : elsewhere ? "never" : { ownedBy: host.options.host };
    if (options.disks) await removeDisks(host.files, serverId, shared);
    await rm(guest.files.dir, { recursive: true, force: true });
    guest.forget();
    await liftFence(host.options.stateDir, serverId);
  });
}

/** Ends the process and its surroundings; tells whether the guest lives on another host. */
async function removeKnown(host: Host, guest: Guest): Promise<"here" | "elsewhere"> {
  // What the record says must do for a process that does not answer: it is to end, not to be asked.
  const moved = (await guest.power().catch(recordedIfUnreachable(guest))) === "moved";
  const { incoming } = guest.record;
  await ensureDiskNotServed(host, guest);
  await guest.update({ intent: "stopped", moved });
  await endProcess(host, guest);
  await removeTaps(host, guest.spec.nics);
  return moved || (incoming !== null && !incoming.received) ? "elsewhere" : "here";
}

function recordedIfUnreachable(guest: Guest): (error: unknown) => GuestPower {
  return (error) => {
    if (isUnreachable(error)) return guest.recordedPower();
    throw error;
  };
}

export async function removeTaps(host: Host, nics: readonly Nic[]): Promise<void> {
  for (const nic of nics) await host.network?.ensureTapAbsent(nic.portId);
}

function cardsWithout(before: readonly Nic[], after: readonly Nic[]): Nic[] {
  const kept = new Set(after.map((nic) => nic.portId));
  return before.filter((nic) => !kept.has(nic.portId));
}

/** Until it has arrived, the guest runs on the host that sends it. */
function refuseIncoming(guest: Guest): void {
  if (guest.record.incoming === null) return;
  throw new CloudError("conflict", "compute.guest_migrating", "The guest is being migrated.");
}
