import type { Connection } from "../../agent/protocol/connection.ts";
import type { Queries, Tx } from "../../kernel/store/store.ts";

/** A volume as other services see it. Sizes are GiB. */
export interface VolumeSummary {
  readonly id: string;
  readonly projectId: string;
  readonly status: string;
  readonly sizeGiB: number;
  readonly bootable: boolean;
  /** It is being moved, extended or retyped. */
  readonly changing: boolean;
  readonly zone: string;
  /** Of the image that it was made from: how it boots. */
  readonly imageMetadata: Readonly<Record<string, string>>;
}

export interface SnapshotSummary {
  readonly id: string;
  readonly projectId: string;
  readonly status: string;
  readonly sizeGiB: number;
  /** The volume that it was taken of. */
  readonly volumeId: string;
}

/** The addressee of the commands that serve a volume: any living member of a cluster, or a host; and the backend that they name. */
export interface ServingBackend {
  readonly backend: string;
  readonly to: { readonly cluster: string } | { readonly host: string };
}

/** One volume of a server of Compute. */
export interface ServerAttachment {
  readonly attachmentId: string;
  readonly volumeId: string;
  readonly readOnly: boolean;
  /** Where the volume is found; null while it is only reserved. */
  readonly connection: Connection | null;
}

/** A volume to be made for a server. */
export interface VolumeForServer {
  readonly projectId: string;
  readonly userId: string;
  readonly isAdmin: boolean;
  readonly requestId: string | null;
  readonly name: string;
  /** Null: as large as its source. */
  readonly sizeGiB: number | null;
  /** Name or id; null for the default. */
  readonly type: string | null;
  readonly source:
    | { readonly kind: "blank" }
    | { readonly kind: "image"; readonly imageId: string }
    | { readonly kind: "snapshot"; readonly snapshotId: string };
}

/**
 * What Compute needs of volumes. Functions with a transaction change nothing outside it. Volumes in the wrong state are `invalid`
 * errors, unknown ones `notFound` (`block-storage.volume_not_found`), quotas `overQuota`.
 *
 * A volume on its way into a guest: `reserve` (reserved) → the verb `volume.ensureExported` to `servingBackend` →
 * `connected` (attaching) → the guest has it → `attached` (in-use). And out: `beginDetaching` (detaching) → the guest has let go →
 * `volume.ensureNotExported` → `letGo` (available). `rollDetaching` when the guest keeps it. Whoever stops half way calls `letGo`
 * once the volume is not served any more.
 */
export interface BlockStoragePublic {
  /** The volume, unless deleted. */
  find(q: Queries, volumeId: string): Promise<VolumeSummary | undefined>;
  findSnapshot(q: Queries, snapshotId: string): Promise<SnapshotSummary | undefined>;
  /** Who serves the volume. Throws `block-storage.not_placed` for one that was never made. */
  servingBackend(q: Queries, volumeId: string): Promise<ServingBackend>;
  /** What the server has, or is about to get: by volume. */
  attachmentsOfServer(q: Queries, serverId: string): Promise<ReadonlyMap<string, ServerAttachment>>;

  /**
   * A volume of the server that moves, grows or changes its type now: whoever closes its disks or takes the guest to another host
   * waits for that. Such a thing does not begin for a server that is changing itself (`holdSettled` of Compute).
   */
  changingVolume(q: Queries, serverId: string): Promise<string | undefined>;

  /**
   * Somebody else has the volume, or is about to have it: what this server had of it, an administrator has reset. It is not this
   * server's to end then.
   */
  othersHave(q: Queries, volume: { volumeId: string; serverId: string }): Promise<boolean>;

  /** Keeps an available volume for the server. Only Compute can end this attachment. */
  reserve(t: Tx, wanted: { volumeId: string; serverId: string }): Promise<{ attachmentId: string }>;
  /** The volume is served, for the guest on `host`, where it will be `device`. Also when it is served anew. */
  connected(t: Tx, c: { attachmentId: string; host: string; device: string; connection: Connection }): Promise<void>;
  attached(t: Tx, attachmentId: string): Promise<void>;
  beginDetaching(t: Tx, volumeId: string): Promise<void>;
  /** Fine when it is not detaching. */
  rollDetaching(t: Tx, volumeId: string): Promise<void>;
  /** The attachment is no more. Fine when there is none. */
  letGo(t: Tx, attachmentId: string): Promise<void>;
  /** The server lives on that host from now on, and so do the ends of its attachments. */
  moveAttachments(t: Tx, serverId: string, host: string): Promise<void>;

  /** Begins to make a volume; its status says when it is there (`available`), or that it will not be (`error`). Returns its id. */
  create(t: Tx, wanted: VolumeForServer): Promise<string>;
  /** Begins to remove a volume that nobody has attached; with `force` also while it is being made. Fine when it is gone. */
  remove(t: Tx, volume: { volumeId: string; force: boolean; requestId: string | null }): Promise<void>;
}
