import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { VolumeFacts } from "../../../protocol/block-storage.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { GIB, growTo, sizeOf, tooSmall } from "./disk-files.ts";
import { reserve } from "./pool.ts";
import {
  attachReplica,
  detachReplica,
  isTrusted,
  makeEqual,
  repairReplica,
  replicaState,
  replicates,
  requireSecondSeen,
} from "./replica.ts";
import type { DaemonTalk } from "./storage-daemon.ts";

/** All of this is done by whoever holds the volume's lock. */

export async function factsOf(array: StorageArray, { main, replica }: VolumeCopies): Promise<VolumeFacts> {
  const { volumeId, state, exported, replicated } = main.record;
  const served = exported && (await array.isServed(main));
  return {
    backend: array.options.backend,
    volumeId,
    state,
    sizeBytes: await sizeOf(main.site.disk(volumeId)),
    exported,
    connection: served ? array.address(volumeId) : null,
    replica: !replicated ? null : replica ? await replicaState(array, { main, replica }) : "stale",
  };
}

/** Also the end of being a migration's destination. Throws `storage.moved_away` once another backend has all that is written. */
export async function ensureExported(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  await requireServable(array, volume);
  await becomeReady(array, volume, signal);
  if (volume.main.record.copy?.finished) {
    throw new CloudError("unavailable", "storage.moved_away", "The volume is on its way to another backend.");
  }
  await requireSecondSeen(array, volume);
  await setExported(array, volume, true);
  await ensureServing(array, volume);
}

/** Serves a volume that is meant to be served, whatever is left of earlier tries. */
export async function ensureServing(array: StorageArray, volume: VolumeCopies): Promise<void> {
  await requireServable(array, volume);
  const { main } = volume;
  const talk = await array.ensureDaemon(main);
  try {
    await serveBy(array, volume, talk);
  } finally {
    talk.close();
  }
}

/** For whoever talks with the first copy's daemon. */
export async function serveBy(array: StorageArray, volume: VolumeCopies, talk: DaemonTalk): Promise<void> {
  const { main } = volume;
  if (await talk.exports()) await repairReplica(array, volume, talk);
  else {
    await attachReplica(array, volume, talk);
    await talk.ensureExport(main.record.volumeId);
  }
  await array.pointAt(main);
}

export async function ensureNotExported(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  await becomeReady(array, volume, signal);
  await setExported(array, volume, false);
  await stopServing(array, volume);
  await equalIfPossible(array, volume, signal);
}

export async function stopServing(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const { main } = volume;
  const talk = await array.talk(main);
  try {
    if (talk) {
      await array.endExport(main, talk);
      await detachReplica(array, volume, talk);
    }
  } finally {
    talk?.close();
  }
  await array.endDaemon(main);
  await array.pointNowhere(main.site, main.record.volumeId);
}

/** An array that is not there leaves its copy stale; the volume goes on without it. */
export async function equalIfPossible(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  if (!(await replicates(array))) return;
  await makeEqual(array, volume, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    array.options.log.warn({ volume: volume.main.record.volumeId, error: String(error) }, "copies are not equal");
  });
}

export async function ensureSize(
  array: StorageArray,
  volume: VolumeCopies,
  sizeGiB: number,
  signal: AbortSignal,
): Promise<void> {
  await requireServable(array, volume);
  const { main, replica } = volume;
  const { volumeId } = main.record;
  const disk = main.site.disk(volumeId);
  if ((await sizeOf(disk)) > sizeGiB * GIB) throw tooSmall("A volume cannot shrink.");
  if ((await sizeOf(disk)) < sizeGiB * GIB) await requireSecondSeen(array, volume);
  const moreGiB = sizeGiB - main.record.sizeGiB;
  if (moreGiB > 0) await reserve(array, main.site, moreGiB, signal, () => array.update(main, { sizeGiB }));
  if (replica && replica.record.sizeGiB < sizeGiB) await array.update(replica, { sizeGiB });
  if ((await sizeOf(disk)) < sizeGiB * GIB) await grow(array, volume, sizeGiB * GIB);
  // Also after a try that was cut short between the two sizes, or the two copies.
  if (main.record.exported) await ensureServing(array, volume);
  else await equalIfPossible(array, volume, signal);
}

async function grow(array: StorageArray, volume: VolumeCopies, bytes: number): Promise<void> {
  const { main } = volume;
  const talk = await array.runningDaemon(main);
  if (!talk) return growTo(main.site.disk(main.record.volumeId), bytes);
  try {
    // QEMU resizes nothing that is exported or mirrored. Clients connect again by themselves.
    await array.endExport(main, talk);
    await detachReplica(array, volume, talk);
    await talk.resize(bytes);
  } finally {
    talk.close();
  }
}

/**
 * In all copies: a failover must know it without the first one, so the second one is told first. One that nobody may fail over to
 * learns it when it becomes equal, if its disk takes nothing now.
 */
export async function setExported(
  array: StorageArray,
  { main, replica }: VolumeCopies,
  exported: boolean,
): Promise<void> {
  if (replica && replica.record.exported !== exported) {
    await array.update(replica, { exported }).catch(async (error: Error) => {
      if (await isTrusted(array, { main, replica })) throw error;
      array.options.log.warn({ site: replica.site.id, error: error.message }, "an array cannot be told of a change");
    });
  }
  // A migration away that is taken back leaves the volume as it is now.
  const copy = main.record.copy && { ...main.record.copy, wasExported: exported };
  const same = main.record.exported === exported && main.record.copy?.wasExported === copy?.wasExported;
  if (!same) await array.update(main, { exported, copy });
}

/** Whether the copy that counts is where the backend serves from. */
export async function isServable(array: StorageArray, main: Copy): Promise<boolean> {
  return main.site !== array.own || (await replicates(array));
}

/** Meant to be served where it is, and not. */
export async function isMissed(array: StorageArray, main: Copy): Promise<boolean> {
  const { exported, state } = main.record;
  return exported && state === "ready" && !(await array.isServed(main)) && (await isServable(array, main));
}

/** Throws `storage.failed_over` or `storage.replica_stale` when the copy that counts is not where the backend serves from. */
export async function requireServable(array: StorageArray, { main, replica }: VolumeCopies): Promise<void> {
  if (await isServable(array, main)) return;
  if (replica)
    throw new CloudError("conflict", "storage.replica_stale", "The second copy of the volume is not up to date.");
  throw new CloudError("conflict", "storage.failed_over", "The volume has no copy where the backend serves from now.");
}

/** A migration's destination that has all its data becomes a volume like others. */
async function becomeReady(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  const { main, replica } = volume;
  if (main.record.state === "ready") return;
  if (main.record.state === "creating") {
    throw new CloudError("conflict", "storage.volume_in_use", "The volume is still being made.");
  }
  await array.endDaemon(main);
  if (replica) {
    await equalIfPossible(array, volume, signal);
    await array.update(replica, { state: "ready" });
  }
  await array.update(main, { state: "ready" });
}
