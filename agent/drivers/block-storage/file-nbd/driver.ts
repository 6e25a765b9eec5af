import type { VolumeFacts, VolumeSpec } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { BlockStorageDriver, Clustering, ManageableVolumes, Replication, VolumeMigration } from "../driver.ts";
import { BACKEND, StorageArray, type VolumeCopies } from "./array.ts";
import { abandonCopy, copyOut, finishCopy, receive } from "./copy-out.ts";
import { ABILITIES, backendFacts, settleOne, settleReplicas } from "./facts.ts";
import { failover } from "./failover.ts";
import { adopt, listManageable, release } from "./manage.ts";
import type { FileNbdOptions } from "./options.ts";
import { ReplicaRebuilds } from "./rebuild-replicas.ts";
import { ensureSecondRecorded } from "./replica.ts";
import { serveAgain } from "./serve-again.ts";
import { ensureExported, ensureNotExported, ensureSize, factsOf } from "./serving.ts";
import { checkedId } from "./site.ts";
import { endCopying, ensureSnapshot, findSnapshot, removeSnapshot, snapshotFacts } from "./snapshots.ts";
import { ensureVolume, removeVolume } from "./volumes.ts";
import { whenFree } from "./when-free.ts";

/**
 * Volumes as raw files, served over NBD by one storage daemon each. Daemons go on without the agent; a new driver over the same
 * folders finds and adopts them. What has died is served again, and second copies that are stale are made anew, at the
 * start and by who asks for `stats`. Members of a cluster each have one over the same folder.
 */
export async function createFileNbdDriver(options: FileNbdOptions): Promise<BlockStorageDriver> {
  return new FileNbdDriver(await StorageArray.prepare(options));
}

class FileNbdDriver implements BlockStorageDriver {
  readonly kind = "file-nbd";
  readonly backend: string;
  readonly replication?: Replication;
  readonly clustering?: Clustering;
  readonly migration: VolumeMigration;
  readonly manageable: ManageableVolumes;
  readonly #array: StorageArray;
  readonly #closing = new AbortController();
  readonly #rebuilds: ReplicaRebuilds;
  #mending: Promise<void> | undefined;

  constructor(array: StorageArray) {
    const { backend, cluster } = array.options;
    this.#array = array;
    this.#rebuilds = new ReplicaRebuilds(array);
    this.backend = backend;
    if (cluster !== null) this.clustering = { cluster };
    if (array.targets.length > 0) {
      this.replication = {
        failover: (targetId, call) =>
          array.locks.holding([BACKEND], call.signal, () => failover(array, targetId, call)),
      };
    }
    this.migration = {
      receive: (volume, call) => this.#alone([volume.volumeId], call, () => receive(array, volume, call)),
      copyOut: (id, target, call) => this.#with(id, call, (volume) => copyOut(array, volume, target, call)),
      finishCopy: (id, wanted, call) => this.#with(id, call, (volume) => finishCopy(array, volume, wanted, call)),
      abandonCopy: (id, call) =>
        this.#alone([id], call, async () => {
          const volume = await array.find(id);
          if (volume) await abandonCopy(array, volume);
          else await (await array.activeSite()).requireReachable();
        }),
    };
    this.manageable = {
      list: () => listManageable(array),
      adopt: (id, wanted, call) =>
        this.#alone([id], call, async () => this.#facts(await adopt(array, id, wanted, call))),
      release: (id, call) => this.#alone([id], call, () => release(array, id)),
    };
    this.#mend("down");
  }

  /** What it finds dead or stale it tells of, and mends for the next one to find. */
  async stats() {
    const array = this.#array;
    if (await array.isBehind()) {
      await whenFree(array.locks, BACKEND, this.#closing.signal, () => array.catchUp());
    }
    await settleReplicas(array, this.#closing.signal);
    const facts = await backendFacts(
      array,
      ABILITIES.filter((ability) => this[ability] !== undefined),
      this.#closing.signal,
    );
    this.#mend(facts.backendState);
    return facts;
  }

  async list(): Promise<VolumeFacts[]> {
    return Promise.all((await this.#array.volumes()).map((volume) => this.#facts(volume)));
  }

  async inspect(volumeId: string): Promise<VolumeFacts | undefined> {
    const before = await this.#array.find(volumeId);
    if (before?.replica) await settleOne(this.#array, volumeId, this.#closing.signal);
    const volume = before?.replica ? await this.#array.find(volumeId) : before;
    if (!volume) await this.#array.requireSeen();
    return volume && this.#facts(volume);
  }

  ensure(spec: VolumeSpec, call: Call): Promise<VolumeFacts> {
    const source = spec.source.kind === "volume" ? [checkedId(spec.source.volumeId)] : [];
    return this.#alone([spec.volumeId, ...source], call, async () =>
      this.#facts(await ensureVolume(this.#array, spec, call)),
    );
  }

  ensureAbsent(volumeId: string, call: Call): Promise<void> {
    return this.#alone([volumeId], call, () => removeVolume(this.#array, volumeId));
  }

  ensureSize(volumeId: string, sizeGiB: number, call: Call): Promise<VolumeFacts> {
    return this.#with(volumeId, call, async (volume) => {
      await ensureSize(this.#array, volume, sizeGiB, call.signal);
      return this.#facts(volume);
    });
  }

  ensureExported(volumeId: string, call: Call): Promise<VolumeFacts> {
    return this.#with(volumeId, call, async (volume) => {
      await ensureExported(this.#array, volume, call.signal);
      return this.#facts(volume);
    });
  }

  ensureNotExported(volumeId: string, call: Call): Promise<VolumeFacts> {
    return this.#with(volumeId, call, async (volume) => {
      await ensureNotExported(this.#array, volume, call.signal);
      return this.#facts(volume);
    });
  }

  ensureSnapshot(snapshotId: string, volumeId: string, call: Call) {
    return this.#alone([snapshotId, volumeId], call, () => ensureSnapshot(this.#array, snapshotId, volumeId, call));
  }

  async ensureSnapshotAbsent(snapshotId: string, call: Call): Promise<void> {
    const found = await findSnapshot(this.#array, checkedId(snapshotId));
    const copied = found?.record.state === "creating" ? [found.record.volumeId] : [];
    await this.#alone([snapshotId, ...copied], call, async () => {
      for (const volumeId of copied) await endCopying(this.#array, volumeId);
      await removeSnapshot(this.#array, snapshotId);
    });
  }

  async inspectSnapshot(snapshotId: string) {
    const found = await findSnapshot(this.#array, checkedId(snapshotId));
    return found?.record.state === "ready" ? snapshotFacts(this.#array, found.record) : undefined;
  }

  setFrozen(frozen: boolean, call: Call): Promise<void> {
    return this.#array.locks.holding([BACKEND], call.signal, async () => {
      if ((await this.#array.backend()).frozen !== frozen) await this.#array.changeBackend({ frozen });
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#mending;
  }

  /** Nobody waits for it but `close`: it may take longer than the one who asks for facts has time. */
  #mend(state: "up" | "down"): void {
    const { signal } = this.#closing;
    const mend = async () => {
      if (state === "down") await serveAgain(this.#array, signal);
      await this.#rebuilds.look(signal);
    };
    this.#mending ??= mend().finally(() => {
      this.#mending = undefined;
    });
  }

  #facts(volume: VolumeCopies): Promise<VolumeFacts> {
    return factsOf(this.#array, volume);
  }

  async #alone<T>(ids: readonly string[], call: Call, work: () => Promise<T>): Promise<T> {
    return this.#array.locks.holding(ids.map(checkedId), call.signal, work);
  }

  #with<T>(volumeId: string, call: Call, work: (volume: VolumeCopies) => Promise<T>): Promise<T> {
    return this.#alone([volumeId], call, async () => {
      const volume = await this.#array.required(volumeId);
      await ensureSecondRecorded(this.#array, volume);
      return work(volume);
    });
  }
}
