import { CloudError, publicFault } from "../../../../kernel/errors/cloud-error.ts";
import type { FailoverOutcome } from "../../../protocol/block-storage.ts";
import type { FailoverResult } from "../driver.ts";
import { addressOf, OWN, type SimPool, type SimVolume } from "./sim-pool.ts";

/** Throws `storage.target_unknown` or `storage.target_unreachable` before anything is changed. */
export function simFailover(pool: SimPool, targetId: string | null): FailoverResult {
  const target = targetId ?? pool.targets[0];
  if (target === OWN) return failback(pool);
  if (!target || !pool.targets.includes(target) || (pool.active !== null && pool.active !== target)) {
    throw new CloudError("invalid", "storage.target_unknown", "The backend has no such replication target.");
  }
  if (pool.active === target) pool.requireReachable(target);
  else if (pool.lost.has(target)) throw targetUnreachable();
  if (pool.active === null) for (const volume of pool.volumes.values()) volume.served = false;
  pool.active = target;
  return { activeBackendId: target, volumes: outcomes(pool, (volume) => promote(pool, volume, target)) };
}

function promote(pool: SimPool, volume: SimVolume, target: string): void {
  if (volume.site !== target) {
    if (!volume.replica?.inSync) {
      throw new CloudError("conflict", "storage.replica_stale", "The second copy of the volume is not up to date.");
    }
    swap(volume, false);
  }
  if (volume.exported) pool.serve(volume);
}

function failback(pool: SimPool): FailoverResult {
  for (const site of [OWN, pool.activeSite]) {
    if (pool.lost.has(site)) throw targetUnreachable();
  }
  pool.active = null;
  const volumes = outcomes(pool, (volume) => {
    if (volume.site !== OWN) {
      if (volume.replica) volume.replica.disk = volume.disk.copy();
      swap(volume, true);
    }
    if (volume.exported) pool.serve(volume);
    else pool.makeEqual(volume);
  });
  return { activeBackendId: null, volumes };
}

function swap(volume: SimVolume, inSync: boolean): void {
  if (!volume.replica) return;
  const { site, disk } = volume.replica;
  volume.replica = { site: volume.site, disk: volume.disk, inSync };
  volume.site = site;
  volume.disk = disk;
}

function outcomes(pool: SimPool, work: (volume: SimVolume) => void): FailoverOutcome[] {
  return [...pool.volumes.values()]
    .filter(({ replicated }) => replicated)
    .map((volume) => {
      const { volumeId } = volume;
      try {
        work(volume);
        return { volumeId, ok: true, fault: null, connection: volume.exported ? addressOf(volumeId) : null };
      } catch (error) {
        const { code, message } = publicFault(error);
        return { volumeId, ok: false, fault: { code, message }, connection: null };
      }
    });
}

function targetUnreachable(): CloudError {
  const text = "An array that the volumes go to or come from cannot be reached.";
  return new CloudError("conflict", "storage.target_unreachable", text);
}
