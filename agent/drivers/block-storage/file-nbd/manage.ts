import { rename, truncate } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { Manageable } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { StorageArray, VolumeCopies } from "./array.ts";
import { exists, GIB, growTo, isPlainFile, sizeOf } from "./disk-files.ts";
import { stopServing } from "./serving.ts";
import { ensureRecorded, finishMaking, newRecord, putBack, referenceOf } from "./volumes.ts";

/** Raw disks in the array's `import` folder, by their names, and the volumes. */
export async function listManageable(array: StorageArray): Promise<Manageable[]> {
  const { own } = array;
  const free = await Promise.all(
    (await own.references()).map(async (reference): Promise<Manageable> => {
      const sizeGiB = Math.ceil((await sizeOf(own.importFile(reference))) / GIB);
      const why = sizeGiB === 0 ? "empty" : null;
      return { reference, sizeGiB, safeToManage: why === null, reasonNotSafe: why, volumeId: null };
    }),
  );
  const managed = (await own.copies()).map(
    ({ volumeId, sizeGiB }): Manageable => ({
      reference: referenceOf(volumeId),
      sizeGiB,
      safeToManage: false,
      reasonNotSafe: "already managed",
      volumeId,
    }),
  );
  return [...free, ...managed];
}

/** Throws `storage.reference_taken` when there is no such data, or no longer. What fails leaves the data where and as it was. */
export async function adopt(
  array: StorageArray,
  volumeId: string,
  options: { reference: string; replicated: boolean },
  call: Call,
): Promise<VolumeCopies> {
  const { reference, replicated } = options;
  const file = array.own.importFile(reference);
  const found = await array.find(volumeId);
  const known = found?.main.record.state === "removing" ? undefined : found;
  if (known && known.main.record.adoptedFrom !== reference) throw taken("The volume exists already.");
  if (!known && !(await isPlainFile(file)))
    throw taken("There is no such data on the array, or it is a volume already.");
  const sizeGiB = known?.main.record.sizeGiB ?? Math.max(1, Math.ceil((await sizeOf(file)) / GIB));
  const record = { ...newRecord({ volumeId, sizeGiB, replicated }), adoptedFrom: reference };
  const volume = await ensureRecorded(array, record, call.signal);
  if (volume.main.record.state !== "creating") return volume;
  const disk = volume.main.site.disk(volumeId);
  if (!(await exists(disk))) {
    if (!(await isPlainFile(file))) throw taken("The data is no longer on the array.");
    await rename(file, disk);
  }
  const bytes = await sizeOf(disk);
  try {
    await growTo(disk, sizeGiB * GIB);
    await finishMaking(array, volume, call.signal);
  } catch (error) {
    if (volume.main.record.state === "creating") await truncate(disk, bytes);
    await putBack(volume.main);
    throw error;
  }
  return volume;
}

/**
 * Null when there was no such volume. Throws `storage.volume_in_use` for one that is served, `storage.failed_over` for one whose
 * data is in another array now: it is adopted from the backend's own. Throws `storage.array_unreachable` while a copy of it may be
 * where nobody can see it.
 */
export async function release(array: StorageArray, volumeId: string): Promise<string | null> {
  const reference = referenceOf(volumeId);
  const found = await array.find(volumeId);
  await array.requireSeen();
  if (!found) return (await isPlainFile(array.own.importFile(reference))) ? reference : null;
  const { main } = found;
  if (main.record.exported) throw new CloudError("conflict", "storage.volume_in_use", "The volume is served.");
  if (main.site !== array.own) {
    throw new CloudError("conflict", "storage.failed_over", "The backend has failed over and lets no volumes go.");
  }
  if (main.record.replicated) for (const target of array.targets) await target.requireReachable();
  await stopServing(array, found);
  // The copy that counts goes last: without it, a second one that is left would be taken for the volume by a failover.
  for (const target of array.targets) {
    await array.killDaemons(target, volumeId);
    await target.removeVolume(volumeId);
  }
  const disk = main.site.disk(volumeId);
  if (await exists(disk)) await rename(disk, main.site.importFile(reference));
  await main.site.removeVolume(volumeId);
  return reference;
}

function taken(text: string): CloudError {
  return new CloudError("conflict", "storage.reference_taken", text);
}
