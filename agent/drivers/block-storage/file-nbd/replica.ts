import type { ReplicaState } from "../../../protocol/block-storage.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { copySparse, createWhole, exists, growTo, sizeOf } from "./disk-files.ts";
import { isAlive } from "./process-identity.ts";
import type { Trust } from "./records.ts";
import type { DaemonTalk } from "./storage-daemon.ts";

/** What a mirror asks for. Not the volume's name: a client that looks for its volume must never come to write to a second copy. */
const SECOND_COPY = "second-copy";

/** Whether the second copy holds every acknowledged write for certain. Asks the process that takes them: the lock is held. */
export async function isTrusted(array: StorageArray, replica: Copy): Promise<boolean> {
  if (!(await isOnRecordAsTrusted(array, replica))) return false;
  return replica.record.trust.kind === "clean" || (await hasTakenAll(array, replica));
}

async function isOnRecordAsTrusted(array: StorageArray, replica: Copy): Promise<boolean> {
  const { trust, role } = replica.record;
  if (role !== "replica") return false;
  return trust.kind === "clean" || (trust.kind === "ready" && (await isAlive(trust.daemon, array.options.host)));
}

/** False also when the process does not say. */
async function hasTakenAll(array: StorageArray, replica: Copy): Promise<boolean> {
  const talk = await array.talk(replica).catch(() => undefined);
  try {
    return (await talk?.hasTakenAll()) ?? false;
  } catch (error) {
    array.options.log.warn({ volume: replica.record.volumeId, error: String(error) }, "a second copy does not answer");
    return false;
  } finally {
    talk?.close();
  }
}

/** As it is on record: whoever looks brings that up to date first (`settleReplica`). */
export async function replicaState(array: StorageArray, replica: Copy): Promise<ReplicaState> {
  if (await isOnRecordAsTrusted(array, replica)) return "inSync";
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
  if (!equal) await setStale(array, replica);
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
  if (broken || !daemon || !(await hasTakenAll(array, replica))) await dropReplica(array, replica, undefined);
  else if (mirror.status === "ready" && replica.record.trust.kind !== "ready") {
    await setTrust(array, volume, { kind: "ready", daemon });
  }
}

/**
 * Ends the mirror of a volume that no client can write to any more, and what takes its writes. True when the copies are equal
 * and on record as such.
 */
export async function detachReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<boolean> {
  const { main, replica } = volume;
  const ended = await talk.endMirror(main.record.volumeId);
  if (!replica) return true;
  const equal = ended && (await hasTakenAll(array, replica));
  const wasClean = replica.record.role === "replica" && replica.record.trust.kind === "clean";
  await array.endDaemon(replica);
  if (!wasClean && equal) await setTrust(array, volume, { kind: "clean" });
  else if (!wasClean) await setStale(array, replica);
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
  await setStale(array, replica);
  await createWhole(replica.site.disk(volumeId), array.options.ids, (partial) =>
    copySparse(main.site.disk(volumeId), partial, signal),
  );
  await setTrust(array, volume, { kind: "clean" });
}

/** From here on the second copy may be failed over to: it knows all that the first one does. */
async function setTrust(array: StorageArray, { main, replica }: VolumeCopies, trust: Trust): Promise<void> {
  const { exported } = main.record;
  if (replica) await array.update(replica, { trust, role: "replica", exported });
}

/** First the process, which a `ready` record is worth nothing without, then the record. */
async function dropReplica(array: StorageArray, replica: Copy, talk: DaemonTalk | undefined): Promise<void> {
  await array.killDaemons(replica.site, replica.record.volumeId);
  await talk?.endMirror(replica.record.volumeId);
  await setStale(array, replica);
}

/** A disk that takes no record does not matter here: what it has then is a `ready` whose process is gone, which nobody believes. */
async function setStale(array: StorageArray, replica: Copy): Promise<void> {
  const change = { trust: { kind: "stale" }, role: "replica" } as const;
  await array.update(replica, change).catch((error: Error) => {
    if (replica.record.trust.kind === "clean") throw error;
    array.options.log.warn({ site: replica.site.id, error: error.message }, "an array cannot be told of a stale copy");
    replica.record = { ...replica.record, ...change };
  });
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
    await peer.ensureGuardedExport(SECOND_COPY, bytes);
    await talk.startMirror(peer.connection(SECOND_COPY), equal);
  } finally {
    peer.close();
  }
  if (equal) await talk.mirrorReady(AbortSignal.timeout(30_000));
}
