import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { SnapshotFacts, VolumeFacts } from "../../../protocol/block-storage.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { SimDisk } from "./sim-disk.ts";

export const GIB = 1024 ** 3;
/** The backend's own array. */
export const OWN = "default";

export interface SimPoolOptions {
  backend: string;
  /** Hosts that add a backend of the same name and cluster work on one pool. */
  cluster?: string | null;
  capacityGiB?: number;
  reservedPercent?: number;
  replicationTargets?: readonly string[];
}

export interface SimVolume {
  readonly volumeId: string;
  readonly replicated: boolean;
  state: "receiving" | "ready";
  sizeGiB: number;
  exported: boolean;
  /** A process serves it now. */
  served: boolean;
  /** The array whose copy counts. */
  site: string;
  disk: SimDisk;
  /** The second copy, in the array `site`; `inSync` while it gets every write. */
  replica: { site: string; disk: SimDisk; inSync: boolean } | null;
  outgoing: { target: Connection; disk: SimDisk; finished: boolean; wasExported: boolean } | null;
  adoptedFrom: string | null;
}

export interface SimSnapshot extends SnapshotFacts {
  readonly sizeGiB: number;
  readonly replicated: boolean;
  readonly disk: SimDisk;
}

/** Everything of one backend. It outlives the agents of all its members. */
export class SimPool {
  readonly backend: string;
  readonly cluster: string | null;
  readonly reservedPercent: number;
  readonly targets: readonly string[];
  capacityGiB: number;
  readonly volumes = new Map<string, SimVolume>();
  readonly snapshots = new Map<string, SimSnapshot>();
  /** Data that is no volume's, by reference. */
  readonly stray = new Map<string, { disk: SimDisk; bytes: number }>();
  /** Arrays whose disks cannot be reached. */
  readonly lost = new Set<string>();
  frozen = false;
  active: string | null = null;

  constructor(options: SimPoolOptions) {
    this.backend = options.backend;
    this.cluster = options.cluster ?? null;
    this.capacityGiB = options.capacityGiB ?? 1000;
    this.reservedPercent = options.reservedPercent ?? 0;
    this.targets = options.replicationTargets ?? [];
  }

  get activeSite(): string {
    return this.active ?? OWN;
  }

  get provisionedGiB(): number {
    let sum = 0;
    for (const { sizeGiB } of this.volumes.values()) sum += sizeGiB;
    for (const { sizeGiB } of this.snapshots.values()) sum += sizeGiB;
    return sum;
  }

  /** Throws `storage.no_space`. */
  requireSpace(moreGiB: number): void {
    if (this.provisionedGiB + moreGiB <= this.capacityGiB) return;
    throw new CloudError("noCapacity", "storage.no_space", "The storage pool has not enough free space.");
  }

  /** Asked before anything new is made. */
  requireNotFrozen(): void {
    if (this.frozen) throw new CloudError("conflict", "storage.frozen", "The storage backend is frozen.");
  }

  /** Throws `storage.array_unreachable`. */
  requireReachable(...sites: readonly string[]): void {
    if (!sites.some((site) => this.lost.has(site))) return;
    throw new CloudError("unavailable", "storage.array_unreachable", "A storage array cannot be reached.");
  }

  /** Every array that may hold a copy is there, but one that was failed over: what it has is remembered as removed. */
  requireRemovable(what: { replicated: boolean } | undefined): void {
    this.requireReachable(this.activeSite, ...(what?.replicated ? this.targets : []));
  }

  /** Nothing is written behind a second copy that is equal and cannot be told. */
  requireSecondSeen({ replica }: SimVolume): void {
    if (replica?.inSync && this.active === null) this.requireReachable(replica.site);
  }

  /** Throws `storage.volume_not_found`, and what it is when the volume, or another copy of it, is where nobody can see it. */
  volume(volumeId: string): SimVolume {
    this.requireReachable(this.activeSite);
    const found = this.volumes.get(volumeId);
    if (found && this.lost.has(found.site)) {
      throw new CloudError(
        "conflict",
        "storage.failed_over",
        "What the backend had before it failed over cannot be seen.",
      );
    }
    if (found) return found;
    throw new CloudError("notFound", "storage.volume_not_found", `The backend has no volume ${volumeId}.`);
  }

  facts(volume: SimVolume): VolumeFacts {
    const { volumeId, state, exported, served, replicated, replica } = volume;
    return {
      backend: this.backend,
      volumeId,
      state,
      sizeBytes: volume.sizeGiB * GIB,
      exported,
      connection: exported && served ? addressOf(volumeId) : null,
      replica: replicated ? (replica?.inSync ? "inSync" : "stale") : null,
    };
  }

  requireServable({ site, replica }: SimVolume): void {
    if (site === this.activeSite) return;
    if (replica)
      throw new CloudError("conflict", "storage.replica_stale", "The second copy of the volume is not up to date.");
    throw new CloudError(
      "conflict",
      "storage.failed_over",
      "The volume has no copy where the backend serves from now.",
    );
  }

  /** Serves the volume, with a second copy that is equal from now on where its array is there. */
  serve(volume: SimVolume): void {
    this.requireServable(volume);
    this.requireSecondSeen(volume);
    volume.served = true;
    this.makeEqual(volume);
  }

  /** What has died is served again where the volume's array can serve. */
  serveAgain(volume: SimVolume): void {
    if (volume.site === this.activeSite && !this.lost.has(volume.site)) this.serve(volume);
  }

  makeEqual(volume: SimVolume): void {
    if (!volume.replica || this.active !== null || this.lost.has(volume.replica.site)) return;
    if (!volume.replica.inSync) volume.replica.disk = volume.disk.copy();
    volume.replica.inSync = true;
  }
}

/** The volume's own address, whoever serves it. */
export function addressOf(volumeId: string): Connection {
  return { kind: "unix", path: `/sim/${volumeId}.sock`, export: volumeId };
}

/** Only the source of a migration knows it. */
export function receiverOf(backend: string, volumeId: string): Connection {
  return { kind: "unix", path: `/sim/${backend}/${volumeId}.sock`, export: volumeId };
}

export function newSimVolume(
  wanted: Pick<SimVolume, "volumeId" | "sizeGiB" | "replicated">,
  target?: string,
): SimVolume {
  return {
    ...wanted,
    state: "ready",
    exported: false,
    served: false,
    site: OWN,
    disk: new SimDisk(),
    replica: wanted.replicated && target ? { site: target, disk: new SimDisk(), inSync: false } : null,
    outgoing: null,
    adoptedFrom: null,
  };
}
