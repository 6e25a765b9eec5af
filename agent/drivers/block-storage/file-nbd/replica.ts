import type { ReplicaState } from "../../../protocol/block-storage.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { copySparse, createWhole, exists, growTo, sizeOf } from "./disk-files.ts";
import { isAlive } from "./process-identity.ts";
import type { Trust } from "./records.ts";
import type { DaemonTalk } from "./storage-daemon.ts";

/** Whether the second copy holds every acknowledged write for certain. */
export async function isTrusted(array: StorageArray, replica: Copy): Promise<boolean> {
  const { trust, role } = replica.record;
  if (role !== "replica") return false;
  return trust.kind === "clean" || (trust.kind === "ready" && (await isAlive(trust.daemon, array.options.host)));
}

export async function replicaState(array: StorageArray, replica: Copy): Promise<ReplicaState> {
  if (await isTrusted(array, replica)) return "inSync";
  return (await array.daemonOf(replica)) ? "syncing" : "stale";
}

/** Whether second copies are kept up now. After a failover the array that would hold them is taken for dead. */
export async function replicates(array: StorageArray): Promise<boolean> {
  const { active, failingBack } = await array.backend();
  return active === null || failingBack;
}

/**
 * Makes the mirror run, with nobody writing: the export must not exist. When it returns, the second copy's record is true
 * whatever a client does next. A mirror that cannot be had leaves it stale; a record that cannot be written
 * lets nobody write, else an old copy could come back one day and be taken for equal.
 */
export async function attachReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main, replica } = volume;
  if (!replica || !(await replicates(array))) return;
  const running = await talk.mirror();
  if (running && running.error === null && running.status !== "concluded" && (await array.daemonOf(replica))) {
    await settleReplica(array, volume, talk);
    return;
  }
  await talk.endMirror(main.record.volumeId);
  const equal = replica.record.role === "replica" && replica.record.trust.kind === "clean";
  if (!equal) await setTrust(array, replica, { kind: "stale" });
  try {
    await startMirror(array, { main, replica }, talk, equal);
    if (equal) await settleReplica(array, volume, talk);
  } catch (error) {
    array.options.log.warn({ volume: main.record.volumeId, error: String(error) }, "a volume has no second copy now");
    await dropReplica(array, replica, talk);
  }
}

/** For a volume that clients use: begins anew what has broken. */
export async function repairReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main, replica } = volume;
  if (!replica || !(await replicates(array))) return;
  await settleReplica(array, volume, talk);
  if (await array.daemonOf(replica)) return;
  await talk.endMirror(main.record.volumeId);
  try {
    await startMirror(array, { main, replica }, talk, false);
  } catch (error) {
    array.options.log.warn({ volume: main.record.volumeId, error: String(error) }, "a volume has no second copy now");
    await dropReplica(array, replica, talk);
  }
}

/** Brings the record up to what the mirror of a served volume says: complete now, or broken. */
export async function settleReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { replica } = volume;
  if (replica?.record.role !== "replica") return;
  const mirror = await talk.mirror();
  const broken = !mirror || mirror.error !== null || mirror.status === "concluded";
  const daemon = (await array.daemonOf(replica)) ? replica.record.daemon?.identity : undefined;
  if (broken || !daemon) await dropReplica(array, replica, undefined);
  else if (mirror.status === "ready" && replica.record.trust.kind !== "ready") {
    await setTrust(array, replica, { kind: "ready", daemon });
  }
}

/**
 * Ends the mirror of a volume that no client can write to any more, and what takes its writes. True when the copies are equal
 * and on record as such.
 */
export async function detachReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<boolean> {
  const { main, replica } = volume;
  const equal = await talk.endMirror(main.record.volumeId);
  if (!replica) return true;
  const wasClean = replica.record.role === "replica" && replica.record.trust.kind === "clean";
  await array.endDaemon(replica);
  if (!wasClean) await setTrust(array, replica, { kind: equal ? "clean" : "stale" });
  return equal || wasClean;
}

/** Makes the second copy of a volume that nobody serves equal, if it is not. */
export async function makeEqual(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  const { main, replica } = volume;
  if (!replica) return;
  const { volumeId } = main.record;
  const wanted = await sizeOf(main.site.disk(volumeId));
  const clean = replica.record.role === "replica" && replica.record.trust.kind === "clean";
  if (clean && (await exists(replica.site.disk(volumeId)))) {
    await growTo(replica.site.disk(volumeId), wanted);
    return;
  }
  await array.endDaemon(replica);
  await setTrust(array, replica, { kind: "stale" });
  await createWhole(replica.site.disk(volumeId), array.options.ids, (partial) =>
    copySparse(main.site.disk(volumeId), partial, signal),
  );
  await setTrust(array, replica, { kind: "clean" });
}

async function setTrust(array: StorageArray, replica: Copy, trust: Trust): Promise<void> {
  await array.update(replica, { trust, role: "replica" });
}

/** First the process, which a `ready` record is worth nothing without, then the record. */
async function dropReplica(array: StorageArray, replica: Copy, talk: DaemonTalk | undefined): Promise<void> {
  await array.killDaemons(replica.site, replica.record.volumeId);
  await talk?.endMirror(replica.record.volumeId);
  await array.update(replica, { trust: { kind: "stale" }, role: "replica", daemon: null });
}

async function startMirror(
  array: StorageArray,
  { main, replica }: { main: Copy; replica: Copy },
  talk: DaemonTalk,
  equal: boolean,
): Promise<void> {
  const { volumeId } = main.record;
  await array.endDaemon(replica);
  const bytes = await sizeOf(main.site.disk(volumeId));
  const disk = replica.site.disk(volumeId);
  if ((await sizeOf(disk)) === 0) await createWhole(disk, array.options.ids, (partial) => growTo(partial, bytes));
  await growTo(disk, bytes);
  const peer = await array.ensureDaemon(replica);
  try {
    await peer.ensureExport(volumeId);
    await talk.startMirror(peer.connection(volumeId), equal);
  } finally {
    peer.close();
  }
  if (equal) await talk.mirrorReady(AbortSignal.timeout(30_000));
}
