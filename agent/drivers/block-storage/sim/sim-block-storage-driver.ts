import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { BackendFacts, BlockStorageVerb, VolumeFacts, VolumeSpec } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { BlockStorageDriver, Clustering, ManageableVolumes, Replication, VolumeMigration } from "../driver.ts";
import { SimDisk } from "./sim-disk.ts";
import { simFailover } from "./sim-failover.ts";
import { type Act, simMigration } from "./sim-migration.ts";
import { GIB, newSimVolume, OWN, type SimPool, type SimSnapshot, type SimVolume } from "./sim-pool.ts";
import type { SimStorageWorld } from "./sim-storage-world.ts";

export interface SimBlockStorageOptions {
  world: SimStorageWorld;
  /** Name of the host, for faults on demand. */
  host: string;
  pool: SimPool;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ABILITIES = ["replication", "migration", "manageable", "clustering"] as const;

/** A block-storage driver over a simulated pool. It holds no state: a new instance finds everything as it was. */
export function createSimBlockStorageDriver(options: SimBlockStorageOptions): BlockStorageDriver {
  return new SimBlockStorageDriver(options);
}

class SimBlockStorageDriver implements BlockStorageDriver {
  readonly kind = "sim";
  readonly backend: string;
  readonly replication?: Replication;
  readonly clustering?: Clustering;
  readonly migration: VolumeMigration;
  readonly manageable: ManageableVolumes;
  readonly #world: SimStorageWorld;
  readonly #pool: SimPool;
  readonly #act: Act;
  readonly #closing = new AbortController();

  constructor({ world, host, pool }: SimBlockStorageOptions) {
    this.#world = world;
    this.#pool = pool;
    this.backend = pool.backend;
    const closing = this.#closing.signal;
    this.#act = async (verb, signal, work) => {
      signal.throwIfAborted();
      return await world.faults.around(host, verb, signal, () => {
        closing.throwIfAborted();
        return work();
      });
    };
    const act = this.#act;
    if (pool.cluster !== null) this.clustering = { cluster: pool.cluster };
    if (pool.targets.length > 0) {
      this.replication = {
        failover: (target, call) => act("backend.failover", call.signal, () => simFailover(pool, target)),
      };
    }
    this.migration = simMigration(world, pool, act);
    this.manageable = {
      list: () => act("volume.listManageable", closing, () => this.#listManageable()),
      adopt: (id, options, call) => act("volume.adopt", call.signal, () => this.#adopt(id, options)),
      release: (id, call) => act("volume.release", call.signal, () => this.#release(id)),
    };
  }

  stats(): Promise<BackendFacts> {
    return this.#act("backend.stats", this.#closing.signal, () => {
      const { capacityGiB, provisionedGiB, reservedPercent, targets, active, frozen, volumes, backend, lost } =
        this.#pool;
      const unserved = [...volumes.values()].filter((volume) => volume.exported && !volume.served);
      const facts: BackendFacts = {
        driver: this.kind,
        vendor: "Pileus",
        driverVersion: "1",
        protocol: "NBD",
        backend,
        backendState: unserved.length > 0 || lost.has(this.#pool.activeSite) ? "down" : "up",
        totalGiB: capacityGiB,
        freeGiB: Math.max(0, capacityGiB - provisionedGiB),
        provisionedGiB,
        reservedPercent,
        thinProvisioning: false,
        replicationEnabled: targets.length > 0,
        replicationTargets: [...targets],
        activeBackendId: active,
        frozen,
        volumes: volumes.size,
        abilities: ABILITIES.filter((ability) => this[ability] !== undefined),
      };
      for (const volume of unserved) this.#pool.serveAgain(volume);
      return facts;
    });
  }

  list(): Promise<VolumeFacts[]> {
    return this.#act("volume.list", this.#closing.signal, () =>
      [...this.#pool.volumes.values()].map((volume) => this.#pool.facts(volume)),
    );
  }

  inspect(volumeId: string): Promise<VolumeFacts | undefined> {
    return this.#act("volume.inspect", this.#closing.signal, () => {
      this.#pool.requireReachable(this.#pool.activeSite);
      const volume = this.#pool.volumes.get(volumeId);
      return volume && this.#pool.facts(volume);
    });
  }

  ensure(spec: VolumeSpec, call: Call): Promise<VolumeFacts> {
    return this.#act("volume.ensure", call.signal, () => {
      this.#pool.requireReachable(this.#pool.activeSite);
      const known = this.#pool.volumes.get(checkedId(spec.volumeId));
      if (known) {
        if (known.site !== this.#pool.activeSite && !known.replica) throw failedOver();
        return this.#pool.facts(known);
      }
      const disk = this.#content(spec);
      return this.#pool.facts(this.#add({ ...newSimVolume(spec, this.#pool.targets[0]), disk }));
    });
  }

  ensureAbsent(volumeId: string, call: Call): Promise<void> {
    return this.#act("volume.ensureAbsent", call.signal, () => {
      this.#pool.requireRemovable(this.#pool.volumes.get(checkedId(volumeId)));
      this.#pool.volumes.delete(volumeId);
    });
  }

  ensureSize(volumeId: string, sizeGiB: number, call: Call): Promise<VolumeFacts> {
    return this.#change("volume.ensureSize", volumeId, call, (volume) => {
      this.#pool.requireServable(volume);
      if (sizeGiB < volume.sizeGiB) throw tooSmall("A volume cannot shrink.");
      if (sizeGiB === volume.sizeGiB) return;
      this.#pool.requireSecondSeen(volume);
      this.#pool.requireSpace(sizeGiB - volume.sizeGiB);
      volume.sizeGiB = sizeGiB;
    });
  }

  ensureExported(volumeId: string, call: Call): Promise<VolumeFacts> {
    return this.#change("volume.ensureExported", volumeId, call, (volume) => {
      if (volume.outgoing?.finished) {
        throw new CloudError("unavailable", "storage.moved_away", "The volume is on its way to another backend.");
      }
      this.#pool.serve(volume);
      volume.exported = true;
      volume.state = "ready";
      if (volume.outgoing) volume.outgoing.wasExported = true;
    });
  }

  ensureNotExported(volumeId: string, call: Call): Promise<VolumeFacts> {
    return this.#change("volume.ensureNotExported", volumeId, call, (volume) => {
      volume.exported = false;
      volume.served = false;
      volume.state = "ready";
      if (volume.outgoing) volume.outgoing.wasExported = false;
      this.#pool.makeEqual(volume);
    });
  }

  ensureSnapshot(snapshotId: string, volumeId: string, call: Call) {
    return this.#act("snapshot.ensure", call.signal, () => {
      const known = this.#pool.snapshots.get(checkedId(snapshotId));
      if (known && known.volumeId !== volumeId) {
        throw new CloudError("conflict", "storage.exists_differently", "The snapshot is of another volume.");
      }
      if (known) return factsOf(known);
      const { sizeGiB, disk, replicated } = this.#pool.volume(volumeId);
      this.#pool.requireNotFrozen();
      this.#pool.requireSpace(sizeGiB);
      const { backend } = this.#pool;
      const made = { backend, snapshotId, volumeId, sizeBytes: sizeGiB * GIB, sizeGiB, replicated, disk: disk.copy() };
      this.#pool.snapshots.set(snapshotId, made);
      return factsOf(made);
    });
  }

  ensureSnapshotAbsent(snapshotId: string, call: Call): Promise<void> {
    return this.#act("snapshot.ensureAbsent", call.signal, () => {
      this.#pool.requireRemovable(this.#pool.snapshots.get(checkedId(snapshotId)));
      this.#pool.snapshots.delete(snapshotId);
    });
  }

  inspectSnapshot(snapshotId: string) {
    return this.#act("snapshot.inspect", this.#closing.signal, () => {
      const found = this.#pool.snapshots.get(snapshotId);
      return found && factsOf(found);
    });
  }

  setFrozen(frozen: boolean, call: Call): Promise<void> {
    return this.#act(frozen ? "backend.freeze" : "backend.thaw", call.signal, () => {
      this.#pool.frozen = frozen;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new CloudError("unavailable", "agent.stopping", "The agent is stopping."));
  }

  #change(verb: BlockStorageVerb, id: string, call: Call, work: (volume: SimVolume) => void): Promise<VolumeFacts> {
    return this.#act(verb, call.signal, () => {
      const volume = this.#pool.volume(checkedId(id));
      work(volume);
      return this.#pool.facts(volume);
    });
  }

  #add(volume: SimVolume): SimVolume {
    const pool = this.#pool;
    pool.requireNotFrozen();
    if (pool.active !== null) {
      throw failedOver();
    }
    if (volume.replicated && !volume.replica) {
      throw new CloudError("invalid", "storage.not_supported", "The backend has no replication target.");
    }
    pool.requireReachable(OWN, ...(volume.replicated ? pool.targets : []));
    pool.requireSpace(volume.sizeGiB);
    pool.volumes.set(volume.volumeId, volume);
    pool.makeEqual(volume);
    return volume;
  }

  #content({ source, sizeGiB }: VolumeSpec): SimDisk {
    if (source.kind === "image") {
      if (source.image.sizeBytes > sizeGiB * GIB) throw tooSmall("The volume is too small for the image.");
      const disk = new SimDisk();
      disk.write(0, this.#world.images.get(source.image.imageId) ?? new Uint8Array());
      return disk;
    }
    if (source.kind === "snapshot") {
      const found = this.#pool.snapshots.get(source.snapshotId);
      if (!found) throw new CloudError("notFound", "storage.snapshot_not_found", "The backend has no such snapshot.");
      if (found.sizeGiB > sizeGiB) throw tooSmall("The snapshot is larger.");
      return found.disk.copy();
    }
    if (source.kind === "empty") return new SimDisk();
    const found = this.#pool.volume(source.volumeId);
    if (found.sizeGiB > sizeGiB) throw tooSmall("The source volume is larger.");
    return found.disk.copy();
  }

  #listManageable() {
    const free = [...this.#pool.stray].map(([reference, { bytes }]) => {
      return { reference, sizeGiB: Math.ceil(bytes / GIB), safeToManage: true, reasonNotSafe: null, volumeId: null };
    });
    const managed = [...this.#pool.volumes.values()].map(({ volumeId, sizeGiB }) => {
      const reference = referenceOf(volumeId);
      return { reference, sizeGiB, safeToManage: false, reasonNotSafe: "already managed", volumeId };
    });
    return [...free, ...managed];
  }

  #adopt(volumeId: string, { reference, replicated }: { reference: string; replicated: boolean }): VolumeFacts {
    const known = this.#pool.volumes.get(checkedId(volumeId));
    if (known && known.adoptedFrom === reference) return this.#pool.facts(known);
    const data = this.#pool.stray.get(reference);
    if (known || !data) {
      throw new CloudError("conflict", "storage.reference_taken", "There is no such data, or it is a volume already.");
    }
    const sizeGiB = Math.max(1, Math.ceil(data.bytes / GIB));
    const volume = newSimVolume({ volumeId, sizeGiB, replicated }, this.#pool.targets[0]);
    const added = this.#add({ ...volume, disk: data.disk, adoptedFrom: reference });
    this.#pool.stray.delete(reference);
    return this.#pool.facts(added);
  }

  #release(volumeId: string): string | null {
    const reference = referenceOf(checkedId(volumeId));
    const volume = this.#pool.volumes.get(volumeId);
    this.#pool.requireRemovable(volume);
    if (!volume) return this.#pool.stray.has(reference) ? reference : null;
    if (volume.exported) throw new CloudError("conflict", "storage.volume_in_use", "The volume is served.");
    this.#pool.volumes.delete(volumeId);
    this.#pool.stray.set(reference, { disk: volume.disk, bytes: volume.sizeGiB * GIB });
    return reference;
  }
}

function factsOf({ backend, snapshotId, volumeId, sizeBytes }: SimSnapshot) {
  return { backend, snapshotId, volumeId, sizeBytes };
}

const referenceOf = (volumeId: string): string => `${volumeId}.raw`;

function checkedId(id: string): string {
  if (UUID.test(id)) return id;
  throw new CloudError("invalid", "storage.invalid_id", "Not a valid id.");
}

function failedOver(): CloudError {
  return new CloudError("conflict", "storage.failed_over", "The backend has failed over and makes no volumes.");
}

function tooSmall(text: string): CloudError {
  return new CloudError("invalid", "storage.size_too_small", text);
}
