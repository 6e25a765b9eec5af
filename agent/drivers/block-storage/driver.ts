import type {
  BackendFacts,
  FailoverOutcome,
  Manageable,
  SnapshotFacts,
  VolumeFacts,
  VolumeSpec,
} from "../../protocol/block-storage.ts";
import type { Connection } from "../../protocol/connection.ts";
import type { Call } from "../../runtime/call.ts";

/**
 * One backend of a host: a pool of volumes that are NBD disks. The small core is required; abilities are present only in drivers
 * that have them. What each act means, and which faults it throws, is written with its verb in the protocol.
 *
 * Everything is idempotent and survives `kill -9` of the agent at any point: a new instance over the same array finds and adopts
 * what is served. Nothing about a volume is only in memory.
 */
export interface BlockStorageDriver {
  readonly kind: string;
  /** Name of the backend. */
  readonly backend: string;
  stats(): Promise<BackendFacts>;
  list(): Promise<VolumeFacts[]>;
  inspect(volumeId: string): Promise<VolumeFacts | undefined>;
  ensure(spec: VolumeSpec, call: Call): Promise<VolumeFacts>;
  ensureAbsent(volumeId: string, call: Call): Promise<void>;
  ensureSize(volumeId: string, sizeGiB: number, call: Call): Promise<VolumeFacts>;
  ensureExported(volumeId: string, call: Call): Promise<VolumeFacts>;
  ensureNotExported(volumeId: string, call: Call): Promise<VolumeFacts>;
  ensureSnapshot(snapshotId: string, volumeId: string, call: Call): Promise<SnapshotFacts>;
  ensureSnapshotAbsent(snapshotId: string, call: Call): Promise<void>;
  inspectSnapshot(snapshotId: string): Promise<SnapshotFacts | undefined>;
  setFrozen(frozen: boolean, call: Call): Promise<void>;
  /** Releases what this process holds (sockets, timers). Volumes go on being served. */
  close(): Promise<void>;

  readonly replication?: Replication;
  readonly migration?: VolumeMigration;
  readonly manageable?: ManageableVolumes;
  readonly clustering?: Clustering;
}

export interface Replication {
  /** `default` is the backend itself; null lets the driver choose a target. */
  failover(targetId: string | null, call: Call): Promise<FailoverResult>;
}

export interface FailoverResult {
  activeBackendId: string | null;
  volumes: FailoverOutcome[];
}

/** Where the source writes to, and where clients will find the volume. */
export interface Received {
  target: Connection;
  address: Connection;
}

export interface VolumeMigration {
  receive(volume: Pick<VolumeSpec, "volumeId" | "sizeGiB" | "replicated">, call: Call): Promise<Received>;
  copyOut(volumeId: string, target: Connection, call: Call): Promise<{ bytes: number }>;
  finishCopy(volumeId: string, options: { target: Connection; compare: boolean }, call: Call): Promise<void>;
  abandonCopy(volumeId: string, call: Call): Promise<void>;
}

export interface ManageableVolumes {
  list(): Promise<Manageable[]>;
  adopt(volumeId: string, options: { reference: string; replicated: boolean }, call: Call): Promise<VolumeFacts>;
  /** Reference under which the data can be adopted again; null when there was no such volume. */
  release(volumeId: string, call: Call): Promise<string | null>;
}

/** Several instances, on hosts of their own, work on one array; any of them does any command. */
export interface Clustering {
  /** `pileus@shared`: equal for all members. */
  readonly cluster: string;
}
