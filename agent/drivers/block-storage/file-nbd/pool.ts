import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { StorageArray } from "./array.ts";
import type { Site } from "./site.ts";

export interface PoolUse {
  provisionedGiB: number;
  volumes: number;
}

/** What the array has promised. Records count from before their data exists until after it has gone. */
export async function poolUse(site: Site): Promise<PoolUse> {
  const [copies, snapshots] = await Promise.all([site.copies(), site.snapshots()]);
  const provisionedGiB = [...copies, ...snapshots].reduce((sum, { sizeGiB }) => sum + sizeGiB, 0);
  return { provisionedGiB, volumes: copies.length };
}

/**
 * Promises `moreGiB` by writing the record that says so, with nobody else promising at the time. Throws `storage.no_space` before
 * anything is written.
 */
export async function reserve(
  array: StorageArray,
  site: Site,
  moreGiB: number,
  signal: AbortSignal,
  write: () => Promise<void>,
): Promise<void> {
  await array.locks.holding(["pool"], signal, async () => {
    const { provisionedGiB } = await poolUse(site);
    const { capacityGiB } = array.options;
    if (provisionedGiB + moreGiB > capacityGiB) {
      throw new CloudError("noCapacity", "storage.no_space", "The storage pool has not enough free space.", {
        internal: `${provisionedGiB} of ${capacityGiB} GiB are provisioned, ${moreGiB} more are wanted`,
      });
    }
    await write();
  });
}

/** Throws `storage.frozen` while nothing new may be made. */
export async function requireNotFrozen(array: StorageArray): Promise<void> {
  if (!(await array.backend()).frozen) return;
  throw new CloudError("conflict", "storage.frozen", "The storage backend is frozen.");
}
