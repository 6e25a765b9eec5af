import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { ReplicaState } from "../../../protocol/block-storage.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { copySparse, createWhole, exists, growTo, sizeOf } from "./disk-files.ts";
import { isAlive } from "./process-identity.ts";
import type { Trust } from "./records.ts";
import { type Copying, copyFailed, type DaemonTalk } from "./storage-daemon.ts";

/** What a mirror asks for. Not the volume's name: a client that looks for its volume must never come to write to a second copy. */
const SECOND_COPY = "second-copy";
const READY_WITHIN_MS = 30_000;

/** Of a volume that is seen to have two copies. */
export interface Pair {
  main: Copy;
  replica: Copy;
}

/** Whether the second copy holds every acknowledged write for certain. Asks the process that takes them: the lock is held. */
export async function isTrusted(array: StorageArray, pair: Pair): Promise<boolean> {
  if (!(await isOnRecordAsTrusted(array, pair))) return false;
  return isClean(pair) || (await hasTakenAll(array, pair.replica));
}

async function isOnRecordAsTrusted(array: StorageArray, pair: Pair): Promise<boolean> {
  const { trust } = pair.replica.record;
  if (!isOfGeneration(pair)) return false;
  return trust.kind === "clean" || (trust.kind === "ready" && (await isAlive(trust.daemon, array.options.host)));
}

export function isClean(pair: Pair): boolean {
  return isOfGeneration(pair) && pair.replica.record.trust.kind === "clean";
}

/** What a second copy says of itself holds for the first copy that it was told of, and no later one. */
function isOfGeneration({ main, replica }: Pair): boolean {
  return replica.record.role === "replica" && replica.record.generation === main.record.generation;
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
export async function replicaState(array: StorageArray, pair: Pair): Promise<ReplicaState> {
  if (await isOnRecordAsTrusted(array, pair)) return "inSync";
  return (await array.daemonOf(pair.replica)) ? "syncing" : "stale";
}

/** Whether second copies are kept up now. After a failover the array that would hold them is taken for dead. */
export async function replicates(array: StorageArray): Promise<boolean> {
  const { active, failingBack } = await array.backend();
  return active === null || failingBack;
}

/** An array that has lost the second copy, or has a new disk, gets one again: on record as stale, for whoever makes it equal. */
export async function ensureSecondRecorded(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const { main, replica } = volume;
  const [target] = array.targets;
  if (replica || !target || !main.record.replicated || main.site !== array.own) return;
  if (!(await replicates(array)) || !(await target.isReachable())) return;
  const stale = { role: "replica", trust: { kind: "stale" }, daemon: null, copy: null } as const;
  try {
    // It may have come back just now.
    const known = await target.copy(main.record.volumeId);
    const record = known ?? { ...main.record, ...stale };
    if (!known) await target.writeCopy(record);
    volume.replica = { site: target, record };
  } catch (error) {
    array.options.log.warn({ volume: main.record.volumeId, error: String(error) }, "a volume has no second copy");
  }
}

/**
 * Makes the mirror run, with nobody writing: the export must not exist. When it returns, the second copy's record is true
 * whatever a client does next. A mirror that cannot be had leaves it stale; a record that cannot be written
 * lets nobody write, else an old copy could come back one day and be taken for equal.
 */
export async function attachReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main, replica } = volume;
  if (!replica || !(await replicates(array))) return forsakeReplica(array, volume);
  const pair = { main, replica };
  const equal = isClean(pair);
  const running = await isMirrored(array, pair, talk);
  if (!running) await talk.endMirror(main.record.volumeId);
  // The first copy's process has died. The second one goes on holding every acknowledged write while it is made equal again: clients'
  // writes come there too, and what is copied over it differs only in what was never acknowledged.
  const holdsAll = !running && !equal && (await isTrusted(array, pair));
  if (!running && !equal && !holdsAll) await setStale(array, pair);
  try {
    if (!running) await startMirror(array, pair, talk, equal ? "nothing" : holdsAll ? "over" : "all");
    const daemon = replica.record.daemon?.identity;
    if (holdsAll && daemon) await setTrust(array, pair, { kind: "ready", daemon });
    // Also of one that was begun by somebody who died before he saw it equal.
    if (equal) await talk.mirrorReady(AbortSignal.timeout(READY_WITHIN_MS));
    if (running || equal) await settleReplica(array, volume, talk);
    if (isClean(pair)) throw copyFailed("the mirror does not stay ready");
  } catch (error) {
    array.options.log.warn({ volume: main.record.volumeId, error: String(error) }, "a volume has no second copy now");
    await dropReplica(array, pair, talk);
  }
}

async function isMirrored(array: StorageArray, { replica }: Pair, talk: DaemonTalk): Promise<boolean> {
  const mirror = await talk.mirror();
  if (!mirror || mirror.error !== null || mirror.status === "concluded") return false;
  return (await array.daemonOf(replica)) !== undefined;
}

/**
 * Before anybody writes what no second copy takes: none may be believed to have taken it. Throws `storage.array_unreachable` while
 * one could be: a failover would see nothing but its record.
 */
async function forsakeReplica(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const { main, replica } = volume;
  if (!main.record.replicated) return;
  await requireSecondSeen(array, volume);
  await killOthers(array, main);
  const mayBeClean = replica ? isClean({ main, replica }) : main.record.secondMayBeClean !== false;
  if (mayBeClean) await array.update(main, { generation: main.record.generation + 1, secondMayBeClean: false });
}

/** What takes the mirror's writes of a copy that cannot be seen may live: its `ready` would be believed as long as it does. */
async function killOthers(array: StorageArray, main: Copy): Promise<void> {
  for (const site of array.sites) if (site !== main.site) await array.killDaemons(site, main.record.volumeId);
}

/**
 * Throws `storage.array_unreachable` when a copy that may be equal now, and could be failed over to, is where nobody can tell it of
 * a change.
 */
export async function requireSecondSeen(array: StorageArray, { main, replica }: VolumeCopies): Promise<void> {
  if (replica || !main.record.replicated || main.record.secondMayBeClean === false) return;
  if (main.site !== array.own || !(await replicates(array))) return;
  for (const target of array.targets) {
    // What is there now, and was not seen, is seen by the next try.
    if ((await target.isReachable()) && !(await target.copy(main.record.volumeId))) continue;
    throw new CloudError(
      "unavailable",
      "storage.array_unreachable",
      "The array of the volume's second copy cannot be reached. Bring it back, or take the replication target out of the configuration.",
      { internal: target.id },
    );
  }
}

/** For a volume that clients use: begins anew what has broken. */
export async function repairReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main, replica } = volume;
  if (!replica || !(await replicates(array))) return;
  const pair = { main, replica };
  await settleReplica(array, volume, talk);
  if (await array.daemonOf(replica)) return;
  await array.endMirror(main, talk);
  try {
    await setStale(array, pair);
    await startMirror(array, pair, talk, "all");
  } catch (error) {
    array.options.log.warn({ volume: main.record.volumeId, error: String(error) }, "a volume has no second copy now");
    await dropReplica(array, pair, talk);
  }
}

/** Brings the record up to what the mirror of a served volume says: complete now, or broken. */
export async function settleReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main, replica } = volume;
  if (replica?.record.role !== "replica") return;
  const pair = { main, replica };
  const mirror = await talk.mirror();
  const broken = !mirror || mirror.error !== null || mirror.status === "concluded";
  const daemon = (await array.daemonOf(replica)) ? replica.record.daemon?.identity : undefined;
  if (broken || !daemon || !(await hasTakenAll(array, replica))) await dropReplica(array, pair, undefined);
  else if (mirror.status === "ready") {
    const known = isOfGeneration(pair) && replica.record.trust.kind === "ready";
    if (known) await noteSecond(array, main, { mayBeClean: false });
    else await setTrust(array, pair, { kind: "ready", daemon });
  }
}

/**
 * Whether the second copy says that it is equal to what the first one was once. It has to be told: whoever sees nothing else would
 * believe it.
 */
export function isOutdated(pair: Pair): boolean {
  return !isOfGeneration(pair) && pair.replica.record.trust.kind === "clean";
}

export async function tellOutdated(array: StorageArray, pair: Pair): Promise<void> {
  if (isOutdated(pair)) await setStale(array, pair);
}

/** The same for whoever has no talk with the first copy's daemon yet. A volume that is not served has nothing to tell. */
export async function settleServed(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const talk = await array.talk(volume.main).catch(() => undefined);
  try {
    if (talk && (await talk.exports())) await settleReplica(array, volume, talk);
  } finally {
    talk?.close();
  }
}

/**
 * Ends the mirror of a volume that no client can write to any more, and what takes its writes. True when the copies are equal
 * and on record as such.
 */
export async function detachReplica(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<boolean> {
  const { main, replica } = volume;
  // Clients may have written through it, whatever is on record.
  const mirrored = (await talk.mirror()) !== null;
  const ended = await talk.endMirror(main.record.volumeId);
  if (!replica) {
    await killOthers(array, main);
    return true;
  }
  const pair = { main, replica };
  const equal = mirrored ? ended && (await hasTakenAll(array, replica)) : isClean(pair);
  await array.endDaemon(replica);
  if (equal) await setTrust(array, pair, { kind: "clean" });
  else await setStale(array, pair);
  return equal;
}

/** Makes the second copy of a volume that nobody serves equal, if it is not. */
export async function makeEqual(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  const { main, replica } = volume;
  if (!replica) return;
  const pair = { main, replica };
  const { volumeId } = main.record;
  const wanted = await sizeOf(main.site.disk(volumeId));
  if (isClean(pair) && (await exists(replica.site.disk(volumeId)))) {
    await growTo(replica.site.disk(volumeId), wanted);
    return;
  }
  const giveUp = async () => {
    await array.endDaemon(replica);
    await setStale(array, pair);
  };
  // One that is good, though its mirror has gone, is given up when there is another to take its place: the first copy may be
  // unreadable by now.
  const good = await isTrusted(array, pair);
  if (!good) await giveUp();
  await createWhole(replica.site.disk(volumeId), array.options.ids, async (partial) => {
    await copySparse(main.site.disk(volumeId), partial, signal);
    if (good) await giveUp();
  });
  await setTrust(array, pair, { kind: "clean" });
}

/** From here on the second copy may be failed over to: it knows all that the first one does. */
async function setTrust(array: StorageArray, pair: Pair, trust: Trust): Promise<void> {
  const { main, replica } = pair;
  const { exported, generation, state, sizeGiB } = main.record;
  if (trust.kind === "clean") await noteSecond(array, main, { mayBeClean: true });
  await array.update(replica, { trust, role: "replica", exported, generation, state, sizeGiB });
  if (trust.kind !== "clean") await noteSecond(array, main, { mayBeClean: false });
}

/** In this order: while the second copy may say `clean`, the first one knows that it may. */
async function noteSecond(array: StorageArray, main: Copy, { mayBeClean }: { mayBeClean: boolean }): Promise<void> {
  if (main.record.secondMayBeClean !== mayBeClean) await array.update(main, { secondMayBeClean: mayBeClean });
}

/** First the process, which a `ready` record is worth nothing without, then the record. */
async function dropReplica(array: StorageArray, pair: Pair, talk: DaemonTalk | undefined): Promise<void> {
  const { main, replica } = pair;
  await array.killDaemons(replica.site, replica.record.volumeId);
  if (talk) await array.endMirror(main, talk);
  await setStale(array, pair);
}

/** A disk that takes no record does not matter here: what it has then is a `ready` whose process is gone, which nobody believes. */
async function setStale(array: StorageArray, pair: Pair): Promise<void> {
  const { main, replica } = pair;
  const { generation } = main.record;
  const change = { trust: { kind: "stale" }, role: "replica", generation } as const;
  const known = isOfGeneration(pair) && replica.record.trust.kind === "stale";
  if (!known)
    await array.update(replica, change).catch((error: Error) => {
      if (replica.record.trust.kind === "clean") throw error;
      array.options.log.warn(
        { site: replica.site.id, error: error.message },
        "an array cannot be told of a stale copy",
      );
      replica.record = { ...replica.record, ...change };
    });
  await noteSecond(array, main, { mayBeClean: false });
}

async function startMirror(
  array: StorageArray,
  { main, replica }: Pair,
  talk: DaemonTalk,
  copying: Copying,
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
    await talk.startMirror(peer.connection(SECOND_COPY), copying);
  } finally {
    peer.close();
  }
}
