import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { BlockStorageVerb } from "../../../protocol/block-storage.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { orAborted } from "../../../sim/sim-faults.ts";
import type { VolumeMigration } from "../driver.ts";
import { addressOf, GIB, newSimVolume, OWN, receiverOf, type SimPool } from "./sim-pool.ts";
import type { SimStorageWorld } from "./sim-storage-world.ts";

export type Act = <T>(verb: BlockStorageVerb, signal: AbortSignal, work: () => T | Promise<T>) => Promise<T>;

export function simMigration(world: SimStorageWorld, pool: SimPool, act: Act): VolumeMigration {
  return {
    receive: (wanted, call) =>
      act("volume.receive", call.signal, () => {
        const known = pool.volumes.get(wanted.volumeId);
        if (known && known.state !== "receiving") {
          throw new CloudError("conflict", "storage.volume_in_use", "The volume exists here already.");
        }
        if (!known) {
          pool.requireReachable(OWN, ...(wanted.replicated ? pool.targets : []));
          pool.requireNotFrozen();
          pool.requireSpace(wanted.sizeGiB);
          const volume = newSimVolume(wanted, pool.targets[0]);
          pool.volumes.set(wanted.volumeId, { ...volume, state: "receiving" });
        }
        return { target: receiverOf(pool.backend, wanted.volumeId), address: addressOf(wanted.volumeId) };
      }),
    copyOut: (volumeId, target, call) =>
      act("volume.copyOut", call.signal, async () => {
        const volume = pool.volume(volumeId);
        if (volume.replicated) {
          throw new CloudError("invalid", "storage.not_supported", "A replicated volume cannot be migrated.");
        }
        if (!world.receiver(target)) throw copyFailed();
        if (volume.outgoing && isSame(volume.outgoing.target, target)) return { bytes: volume.sizeGiB * GIB };
        const total = volume.sizeGiB * GIB;
        const report = (percent: number) =>
          call.progress(percent, { done: Math.floor((total * percent) / 100), total });
        await orAborted(copying(world, report), call.signal);
        const receiver = world.receiver(target);
        if (!receiver) throw copyFailed();
        receiver.disk = volume.disk.copy();
        volume.outgoing = { target, disk: receiver.disk, finished: false, wasExported: volume.exported };
        return { bytes: total };
      }),
    finishCopy: (volumeId, { target }, call) =>
      act("volume.finishCopy", call.signal, () => {
        const volume = pool.volume(volumeId);
        if (!volume.outgoing || !isSame(volume.outgoing.target, target)) throw copyFailed();
        volume.outgoing.finished = true;
        volume.exported = false;
        volume.served = false;
      }),
    abandonCopy: (volumeId, call) =>
      act("volume.abandonCopy", call.signal, () => {
        const volume = pool.volumes.get(volumeId);
        if (!volume?.outgoing) return;
        volume.exported = volume.outgoing.wasExported;
        volume.outgoing = null;
        if (volume.exported && volume.site === pool.activeSite) pool.serve(volume);
      }),
  };
}

function copying(world: SimStorageWorld, progress: (percent: number) => void): Promise<void> {
  return new Promise((resolve) => {
    world.works.begin({
      totalMs: world.copyMs,
      onStep: (fraction) => progress(100 * fraction),
      onEnd: resolve,
    });
  });
}

const isSame = (a: Connection, b: Connection): boolean => JSON.stringify(a) === JSON.stringify(b);

function copyFailed(): CloudError {
  return new CloudError("conflict", "storage.copy_failed", "Copying the volume failed.");
}
