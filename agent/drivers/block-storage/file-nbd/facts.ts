import type { BackendFacts } from "../../../protocol/block-storage.ts";
import type { StorageArray } from "./array.ts";
import { poolUse } from "./pool.ts";
import { isOutdated, settleServed, tellOutdated } from "./replica.ts";
import { isMissed } from "./serving.ts";
import { whenFree } from "./when-free.ts";

export const ABILITIES = ["replication", "migration", "manageable", "clustering"] as const;

/** `down` when a volume that is meant to be served is not, or the array's disk is not there. */
export async function backendFacts(
  array: StorageArray,
  abilities: string[],
  closing: AbortSignal,
): Promise<BackendFacts> {
  const { backend, capacityGiB, reservedPercent } = array.options;
  const [record, site] = [await array.backend(), await array.activeSite()];
  const { provisionedGiB, volumes } = await poolUse(site);
  return {
    driver: "file-nbd",
    vendor: "Pileus",
    driverVersion: "1",
    protocol: "NBD",
    backend,
    backendState: (await servesAll(array, closing)) ? "up" : "down",
    totalGiB: capacityGiB,
    freeGiB: Math.max(0, capacityGiB - provisionedGiB),
    provisionedGiB,
    reservedPercent,
    thinProvisioning: false,
    replicationEnabled: array.targets.length > 0,
    replicationTargets: array.targets.map(({ id }) => id),
    activeBackendId: record.active,
    frozen: record.frozen,
    volumes,
    abilities,
  };
}

async function servesAll(array: StorageArray, closing: AbortSignal): Promise<boolean> {
  const site = await array.activeSite();
  if (!(await site.isReachable())) return false;
  for (const { main } of await array.volumes()) {
    if ((await isMissed(array, main)) && (await staysUnserved(array, main.record.volumeId, closing))) return false;
  }
  return true;
}

/** One that somebody works on may be on its way to being served: it says nothing of the backend. */
async function staysUnserved(array: StorageArray, volumeId: string, closing: AbortSignal): Promise<boolean> {
  const look = async () => {
    const volume = await array.find(volumeId);
    return volume !== undefined && (await isMissed(array, volume.main));
  };
  return (await whenFree(array.locks, volumeId, closing, look)) ?? false;
}

/** Records of served volumes' second copies follow what their mirrors do by themselves, and others what they have missed. */
export async function settleReplicas(array: StorageArray, closing: AbortSignal): Promise<void> {
  if (array.targets.length === 0) return;
  for (const { main, replica } of await array.volumes()) {
    if (replica && (main.record.exported || isOutdated({ main, replica })))
      await settleOne(array, main.record.volumeId, closing);
  }
}

export async function settleOne(array: StorageArray, volumeId: string, closing: AbortSignal): Promise<void> {
  await whenFree(array.locks, volumeId, closing, () => settle(array, volumeId));
}

async function settle(array: StorageArray, volumeId: string): Promise<void> {
  const volume = await array.find(volumeId);
  if (volume?.replica) await tellOutdated(array, { main: volume.main, replica: volume.replica });
  if (volume) await settleServed(array, volume);
}
