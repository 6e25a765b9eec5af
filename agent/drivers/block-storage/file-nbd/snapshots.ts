import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { SnapshotFacts } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { StorageArray, VolumeCopies } from "./array.ts";
import { copySparse, createWhole, exists, giveBackHoles, growTo, sizeOf } from "./disk-files.ts";
import { requireNotFrozen, reserve } from "./pool.ts";
import type { SnapshotRecord } from "./records.ts";
import { requireRemovable } from "./removals.ts";
import { replicates } from "./replica.ts";
import { requireServable } from "./serving.ts";
import type { Site } from "./site.ts";

export function snapshotFacts(array: StorageArray, record: SnapshotRecord): SnapshotFacts {
  const { snapshotId, volumeId, sizeBytes } = record;
  return { backend: array.options.backend, snapshotId, volumeId, sizeBytes };
}

export async function findSnapshot(
  array: StorageArray,
  snapshotId: string,
): Promise<{ site: Site; record: SnapshotRecord } | undefined> {
  const first = await array.activeSite();
  for (const site of [first, ...array.sites.filter((each) => each !== first)]) {
    const record = await site.snapshot(snapshotId);
    if (record && record.state !== "removing") return { site, record };
  }
  return undefined;
}

/** The array that has the snapshot whole. Throws `storage.snapshot_not_found`, and what `requireSeen` throws. */
export async function snapshotSite(array: StorageArray, snapshotId: string): Promise<Site> {
  const found = await findSnapshot(array, snapshotId);
  if (found?.record.state === "ready") return found.site;
  await array.requireSeen();
  throw new CloudError("notFound", "storage.snapshot_not_found", `The backend has no snapshot ${snapshotId}.`);
}

/** Under the locks of the snapshot and of its volume. */
export async function ensureSnapshot(
  array: StorageArray,
  snapshotId: string,
  volumeId: string,
  call: Call,
): Promise<SnapshotFacts> {
  const found = await findSnapshot(array, snapshotId);
  if (found && found.record.volumeId !== volumeId) {
    throw new CloudError("conflict", "storage.exists_differently", "The snapshot is of another volume.");
  }
  if (found?.record.state === "ready") return snapshotFacts(array, found.record);
  const volume = await array.required(volumeId);
  const { main } = volume;
  if (main.record.state !== "ready") {
    throw new CloudError("conflict", "storage.volume_in_use", "The volume is not ready.");
  }
  await requireServable(array, volume);
  const { sizeGiB, replicated } = main.record;
  const sizeBytes = await sizeOf(main.site.disk(volumeId));
  const record: SnapshotRecord = { snapshotId, volumeId, sizeGiB, sizeBytes, replicated, state: "creating" };
  if (!found) await requireNotFrozen(array);
  // One that was found may have been begun in the array from which the volume has come since.
  const begun = await main.site.snapshot(snapshotId);
  if (!begun || begun.state === "removing")
    await reserve(array, main.site, sizeGiB, call.signal, () => main.site.writeSnapshot(record));
  const disk = main.site.snapshotDisk(snapshotId);
  if (!(await exists(disk))) {
    await createWhole(disk, array.options.ids, (partial) => copyNow(array, volume, partial, call));
  }
  const whole: SnapshotRecord = { ...record, sizeBytes: await sizeOf(disk), state: "ready" };
  if (volume.replica && (await replicates(array))) {
    await copySnapshot(array, whole, main.site, volume.replica.site, call.signal);
  }
  await main.site.writeSnapshot(whole);
  return snapshotFacts(array, whole);
}

/** As one moment has it: of a served volume by its daemon, of an idle one as the file is. The volume's lock is held. */
export async function copyNow(array: StorageArray, { main }: VolumeCopies, partial: string, call: Call): Promise<void> {
  const disk = main.site.disk(main.record.volumeId);
  const talk = await array.runningDaemon(main);
  try {
    if (!talk) {
      await copySparse(disk, partial, call.signal);
      return;
    }
    await growTo(partial, await sizeOf(disk));
    await talk.backup(partial, call.signal, ({ done, total }) => {
      call.progress(total === 0 ? 0 : (100 * done) / total, { done, total });
    });
    await giveBackHoles(partial, call.signal);
  } finally {
    talk?.close();
  }
}

/** What a member that died has begun goes on in the volume's daemon, and keeps the room of what is removed. The volume's lock is held. */
export async function endCopying(array: StorageArray, volumeId: string): Promise<void> {
  const volume = await array.find(volumeId);
  const talk = volume && (await array.talk(volume.main).catch(() => undefined));
  try {
    await talk?.endBackup();
  } catch (error) {
    array.options.log.warn({ volume: volumeId, error: String(error) }, "a copy is not ended");
  } finally {
    talk?.close();
  }
}

/** Into another array too; one that is not there does without. */
export async function copySnapshot(
  array: StorageArray,
  record: SnapshotRecord,
  from: Site,
  to: Site,
  signal: AbortSignal,
): Promise<void> {
  const { snapshotId } = record;
  try {
    await to.writeSnapshot({ ...record, state: "creating" });
    await createWhole(to.snapshotDisk(snapshotId), array.options.ids, (partial) =>
      copySparse(from.snapshotDisk(snapshotId), partial, signal),
    );
    await to.writeSnapshot(record);
  } catch (error) {
    signal.throwIfAborted();
    array.options.log.warn(
      { snapshot: snapshotId, site: to.id, error: String(error) },
      "a snapshot has no second copy",
    );
  }
}

/** Throws `storage.array_unreachable`, before anything is changed, while a copy of it may be where nobody can see it. */
export async function removeSnapshot(array: StorageArray, snapshotId: string): Promise<void> {
  const found = await Promise.all(array.sites.map(async (site) => ({ site, record: await site.snapshot(snapshotId) })));
  const known = found.flatMap(({ site, record }) => (record ? [{ site, record }] : []));
  const replicated = known.some(({ record }) => record.replicated);
  await requireRemovable(array, { kind: "snapshot", id: snapshotId }, { replicated });
  for (const { site, record } of known) await site.writeSnapshot({ ...record, state: "removing" });
  // Also where a removal that was cut short has left the folder without its record.
  const left = await Promise.all(array.sites.map((site) => exists(site.snapshotDir(snapshotId))));
  const active = await array.activeSite();
  const sites = array.sites.filter((_, i) => left[i]);
  // The one where the backend serves from goes last, as with volumes.
  for (const site of sites.toSorted((a, b) => Number(a === active) - Number(b === active)))
    await site.removeSnapshot(snapshotId);
}
