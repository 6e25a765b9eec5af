import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import type { GuestFacts, GuestSpec, GuestVolume } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { GuestVolumes } from "../driver.ts";
import { changeGuest } from "./change-guest.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { volumeSlot } from "./pci-slots.ts";
import {
  connectionNames,
  connectionNode,
  connectionPrefix,
  inOrder,
  topNode,
  volumeDevice,
  volumeDisk,
  volumeNode,
} from "./volume-nodes.ts";

/** A guest that has not let go of a disk by then is busy with something else; asked again, it may have time. */
export const UNPLUG_LIMIT_MS = 30_000;
/** A guest that is still booting has nobody to hear the request. QEMU takes a second one after five seconds at the soonest. */
const ASK_AGAIN_MS = 1_000;

export function guestVolumes(host: Host): GuestVolumes {
  return {
    ensureVolumes: (spec, call) => ensureVolumes(host, spec, call),
    ensureVolumeSize: async (serverId, { volumeId, sizeBytes }) => {
      await changeGuest(host, serverId, (guest) => ensureVolumeSize(guest, volumeId, sizeBytes));
    },
  };
}

function ensureVolumes(host: Host, spec: GuestSpec, call: Call): Promise<GuestFacts> {
  return changeGuest(host, spec.serverId, async (guest) => {
    await guest.adopt({ ...guest.spec, volumes: spec.volumes });
    if (await guest.isUp()) await bringVolumes(host, guest, UNPLUG_LIMIT_MS, call.signal);
  });
}

/**
 * Plugs and unplugs disks until the running guest has exactly the volumes of its spec, each in its slot and connected to its
 * server; the one that it boots from is connected anew at most. Throws `compute.volume_busy` for a disk that the guest keeps
 * for `patienceMs`, `compute.volume_unreachable`.
 */
export async function bringVolumes(host: Host, guest: Guest, patienceMs: number, signal: AbortSignal): Promise<void> {
  const qmp = await guest.qmp();
  const wanted = new Map(guest.spec.volumes.map((volume) => [volume.volumeId, volume]));
  for (const id of await guest.volumeIds()) {
    if (await isRoot(qmp, id)) continue;
    const volume = wanted.get(id);
    if (volume && !volume.root && (await isPluggedAs(qmp, volume))) continue;
    await unplug(host, guest, id, patienceMs, signal);
  }
  await dropUnused(guest, qmp, signal);
  const present = new Set(await guest.volumeIds());
  for (const volume of inOrder(guest.spec.volumes)) {
    if (present.has(volume.volumeId)) await ensureConnected(qmp, volume);
    else if (!volume.root) await plug(qmp, volume);
  }
}

async function plug(qmp: Qmp, volume: GuestVolume): Promise<void> {
  const [connection] = connectionNames(volume);
  await connect(qmp, volume, connection);
  await qmp.execute("blockdev-add", topNode(volume, connection));
  await qmp.execute("device_add", volumeDisk(volume));
}

/** Takes the disk from the guest. Fine when it is gone. A paused guest is not asked: once it runs, it would obey unexpectedly. */
async function unplug(host: Host, guest: Guest, id: string, patienceMs: number, signal: AbortSignal): Promise<void> {
  const qmp = await guest.qmp();
  const { clock } = host.options;
  const started = clock.now();
  let askedAt = Number.NEGATIVE_INFINITY;
  if ((await guest.power()) === "paused") throw busy(id);
  while ((await guest.volumeIds()).includes(id)) {
    signal.throwIfAborted();
    const now = clock.now();
    if (now - askedAt >= ASK_AGAIN_MS) {
      askedAt = now;
      await qmp.execute("device_del", { id: volumeDevice(id) }).catch(ifRefused);
    }
    if (now - started >= patienceMs) throw busy(id);
    await qmp.changed(Math.min(200, patienceMs));
  }
}

/** Connects the guest's disk to the server of its spec, under the running guest. */
async function ensureConnected(qmp: Qmp, volume: GuestVolume): Promise<void> {
  const names = connectionNames(volume);
  const now = await connectionsOf(qmp, volume.volumeId);
  if (now.length === 1 && names.some((name) => now.includes(name))) return;
  const inUse = await dropSpare(qmp, volume.volumeId);
  if (names.some((name) => inUse.includes(name))) return;
  await switchTo(qmp, volume, names[0]);
}

/** A disk that is not plugged in needs nothing: it has its size from the start. */
async function ensureVolumeSize(guest: Guest, volumeId: string, sizeBytes: number): Promise<void> {
  const volume = guest.spec.volumes.find((each) => each.volumeId === volumeId);
  if (!volume || !(await guest.isUp()) || !(await guest.volumeIds()).includes(volumeId)) return;
  const qmp = await guest.qmp();
  // A connection keeps the size that it was opened with. Nor does the size of the node tell whether the guest knows of it.
  const inUse = await dropSpare(qmp, volumeId);
  const [one, other] = connectionNames(volume);
  await switchTo(qmp, volume, inUse.includes(one) ? other : one);
  await qmp.execute("block_resize", { "node-name": volumeNode(volumeId), size: sizeBytes });
}

/**
 * Puts a new connection in the place of the one that the guest's disk uses. QEMU lets all requests end at the old one, flushes it
 * and only then lets new ones go to the new one.
 */
async function switchTo(qmp: Qmp, volume: GuestVolume, name: string): Promise<void> {
  await connect(qmp, volume, name);
  await qmp.execute("blockdev-reopen", { options: [topNode(volume, name)] });
  await dropSpare(qmp, volume.volumeId);
}

/** Throws `compute.volume_unreachable`. */
async function connect(qmp: Qmp, volume: GuestVolume, name: string): Promise<void> {
  await qmp.execute("blockdev-add", connectionNode(volume, name)).catch((error: unknown) => {
    throw isRefusal(error) ? unreachable(error.internal ?? "") : error;
  });
}

/** Removes what is left of volumes that the guest has no disk of. */
async function dropUnused(guest: Guest, qmp: Qmp, signal: AbortSignal): Promise<void> {
  const present = await guest.volumeIds();
  const kept = new Set(present.flatMap((id) => [volumeNode(id), connectionPrefix(id)]));
  const isSpare = (name: string) => /^[vn][0-9a-f]{16}(-|$)/.test(name) && !kept.has(name.slice(0, 18));
  // The upper nodes first. QEMU lets go of a disk's node a moment after the disk is gone.
  for (;;) {
    const spare = (await nodesOf(qmp)).map((node) => node["node-name"]).filter(isSpare);
    if (spare.length === 0) return;
    for (const name of spare.toSorted().reverse()) await drop(qmp, name);
    signal.throwIfAborted();
    await qmp.changed(50);
  }
}

/** Removes the volume's connections that the guest's disk does not use; returns the name of the one that it does. */
async function dropSpare(qmp: Qmp, volumeId: string): Promise<string[]> {
  for (const name of await connectionsOf(qmp, volumeId)) await drop(qmp, name);
  return connectionsOf(qmp, volumeId);
}

/** QEMU keeps what is in use. */
async function drop(qmp: Qmp, name: string): Promise<void> {
  await qmp.execute("blockdev-del", { "node-name": name }).catch(ifRefused);
}

async function connectionsOf(qmp: Qmp, volumeId: string): Promise<string[]> {
  const names = (await nodesOf(qmp)).map((node) => node["node-name"]);
  return names.filter((name) => name.startsWith(connectionPrefix(volumeId)));
}

/** In its slot, and with the rights of its spec. */
async function isPluggedAs(qmp: Qmp, volume: GuestVolume): Promise<boolean> {
  const top = (await nodesOf(qmp)).find((node) => node["node-name"] === volumeNode(volume.volumeId));
  // QEMU tells slot and function in one number.
  const slot = (await property(qmp, volume.volumeId, "addr")) >> 3;
  return slot === volumeSlot(volume.device) && top?.ro === volume.readOnly;
}

async function isRoot(qmp: Qmp, volumeId: string): Promise<boolean> {
  return (await property(qmp, volumeId, "bootindex")) >= 0;
}

/** -1 for a disk that the guest has let go of in the meantime. */
function property(qmp: Qmp, volumeId: string, name: "addr" | "bootindex"): Promise<number> {
  const path = `/machine/peripheral/${volumeDevice(volumeId)}`;
  return qmp.execute<number>("qom-get", { path, property: name }).catch((error: unknown) => {
    ifRefused(error);
    return -1;
  });
}

interface BlockNode {
  "node-name": string;
  ro: boolean;
}

function nodesOf(qmp: Qmp): Promise<BlockNode[]> {
  return qmp.execute<BlockNode[]>("query-named-block-nodes", { flat: true });
}

function ifRefused(error: unknown): void {
  if (!isRefusal(error)) throw error;
}

function busy(volumeId: string): CloudError {
  return new CloudError("unavailable", "compute.volume_busy", `The guest does not let go of volume ${volumeId}.`);
}

export function unreachable(why: string): CloudError {
  const text = "A volume of the server cannot be reached.";
  return new CloudError("unavailable", "compute.volume_unreachable", text, { internal: why });
}
