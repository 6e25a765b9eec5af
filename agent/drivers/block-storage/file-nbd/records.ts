import type { Connection } from "../../../protocol/connection.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/**
 * Why a second copy may be believed to hold every acknowledged write:
 * `clean`  it was closed while equal, and nobody has been able to write since;
 * `ready`  the mirror to it was complete, and the very process that takes its writes lives and says that none has failed since:
 *          it stops believing in itself before a write that it could not make is acknowledged;
 * `stale`  it may not be.
 * Before a client can write, the record on the disk is `ready` or `stale`, never `clean`.
 */
export type Trust = { kind: "clean" } | { kind: "ready"; daemon: ProcessIdentity } | { kind: "stale" };

/** What serves a copy, from before it starts. `identity` is null until it is known. */
export interface DaemonRecord {
  generation: number;
  identity: ProcessIdentity | null;
}

/**
 * A migration away from this backend. `finished`: both were equal and nothing has been written here since. `wasExported`: what is to be
 * again should it be taken back.
 */
export interface OutgoingCopy {
  target: Connection;
  finished: boolean;
  wasExported: boolean;
}

/** One copy of a volume, beside its data. It is written before what it tells of is done. */
export interface CopyRecord {
  volumeId: string;
  /** What the pool has promised. */
  sizeGiB: number;
  state: "creating" | "receiving" | "ready" | "removing";
  replicated: boolean;
  /** Meant to be served. Equal in all copies, so that a failover knows without the first one. */
  exported: boolean;
  /**
   * Of two copies that say `main`, the one of the higher generation is: a failover counts up. So does a first copy that is written to
   * without its second one; a `trust` holds only beside a first copy of its own generation.
   */
  generation: number;
  role: "main" | "replica";
  trust: Trust;
  /**
   * In a first copy: the second one's record may be `clean`. Set before that is, reset when it says otherwise; missing in old records,
   * where it may be. Nobody writes to the volume while it is set and the second one cannot be seen (docs/decisions/0016).
   */
  secondMayBeClean?: boolean;
  daemon: DaemonRecord | null;
  copy: OutgoingCopy | null;
  /** What the volume was made of by `volume.adopt`. */
  adoptedFrom: string | null;
}

export interface SnapshotRecord {
  snapshotId: string;
  volumeId: string;
  sizeGiB: number;
  sizeBytes: number;
  replicated: boolean;
  state: "creating" | "ready" | "removing";
}

/** The backend as a whole; in each array, the highest generation counts. */
export interface BackendRecord {
  generation: number;
  /** The target that serves; null while the backend's own array does. */
  active: string | null;
  /** Volumes are on their way back to the backend's own array. */
  failingBack: boolean;
  frozen: boolean;
}
