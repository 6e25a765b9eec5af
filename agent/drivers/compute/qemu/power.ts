import { rm } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { GuestFacts, GuestSpec, Nic } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import { bringCards } from "./cards.ts";
import { ensureDiskNotServed } from "./cold-migration.ts";
import { ensureRootDisk } from "./disks.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { checkSpec, launch } from "./launch.ts";
import { endProcess, stopGuest } from "./stop.ts";

export type WantedPower = "running" | "stopped" | "paused";

/** Makes the guest exist as the spec says and brings it to `power`. */
export async function ensureGuest(host: Host, spec: GuestSpec, power: WantedPower, call: Call): Promise<GuestFacts> {
  checkSpec(spec);
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    const before = (await guest.load()) ? guest.spec.nics : [];
    await guest.adopt(spec);
    refuseGuestOfAnotherHost(guest);
    const now = await guest.power();
    if (now !== "running" && now !== "paused") await removeTaps(host, cardsWithout(before, spec.nics));
    if (power === "stopped") {
      if (now !== "stopped") await stopGuest(host, guest, 0, call);
      await ensureRootDisk(host.files, spec, call);
    } else if (now === "running" || now === "paused") {
      await bringCards(host, guest, call.signal);
      await setPaused(guest, power === "paused");
    } else {
      await start(host, guest, power, call);
    }
    return guest.facts();
  });
}

/** Starts a process for the guest, in place of what is left of an earlier one. */
export async function start(host: Host, guest: Guest, power: "running" | "paused", call: Call): Promise<void> {
  await endProcess(host, guest);
  await ensureDiskNotServed(host, guest);
  const rootDisk = await ensureRootDisk(host.files, guest.spec, call);
  await guest.update({ intent: power, moved: false, outgoing: null, incoming: null });
  await launch(host, guest, { rootDisk, start: power }, call);
}

export async function setPaused(guest: Guest, paused: boolean): Promise<void> {
  const qmp = await guest.qmp();
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
export async function ensureGuestAbsent(host: Host, serverId: string, disks: boolean): Promise<void> {
  const guest = await host.guest(serverId);
  await guest.exclusive(async () => {
    if (await guest.load()) await removeKnown(host, guest, disks);
    else if (disks) await rm(host.files.instanceDir(serverId, "local"), { recursive: true, force: true });
    await rm(guest.files.dir, { recursive: true, force: true });
    guest.forget();
  });
}

async function removeKnown(host: Host, guest: Guest, disks: boolean): Promise<void> {
  const movedAway = (await guest.power()) === "moved";
  await ensureDiskNotServed(host, guest);
  await guest.update({ intent: "stopped", moved: movedAway });
  await endProcess(host, guest);
  await removeTaps(host, guest.spec.nics);
  const { storage } = guest.spec.rootDisk;
  if (!disks || (movedAway && storage === "shared")) return;
  await rm(host.files.instanceDir(guest.id, storage), { recursive: true, force: true });
}

export async function removeTaps(host: Host, nics: readonly Nic[]): Promise<void> {
  for (const nic of nics) await host.network?.ensureTapAbsent(nic.portId);
}

function cardsWithout(before: readonly Nic[], after: readonly Nic[]): Nic[] {
  const kept = new Set(after.map((nic) => nic.portId));
  return before.filter((nic) => !kept.has(nic.portId));
}

/** Two processes on one disk destroy it. */
function refuseGuestOfAnotherHost(guest: Guest): void {
  const { incoming, outgoing } = guest.record;
  if (incoming === null && outgoing?.outcome !== "running") return;
  throw new CloudError("conflict", "compute.guest_migrating", "The guest is being migrated.");
}
