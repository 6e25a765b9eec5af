import { type Static, Type } from "typebox";
import { ImageSource } from "./compute.ts";
import { Connection } from "./connection.ts";
import { verb } from "./verb.ts";

/**
 * What the server tells a block-storage agent, and what it answers. Sizes carry their unit in the name.
 *
 * Every verb may be repeated: it brings about a state and is fine where that state is already so. A verb that was cut short,
 * by `kill -9` too, is finished or undone by its own repeat, in a cluster on any member.
 *
 * Fault codes: `storage.no_backend`, `storage.volume_not_found`, `storage.snapshot_not_found` (notFound); `storage.no_space`
 * (noCapacity: nothing was allocated); `storage.size_too_small`, `storage.image_unsafe`, `storage.target_unknown`,
 * `storage.not_supported`, `storage.invalid_id` (invalid); `storage.exists_differently`, `storage.volume_in_use`, `storage.frozen`,
 * `storage.failed_over`, `storage.replica_stale`, `storage.copy_failed`, `storage.reference_taken`,
 * `storage.target_unreachable` (conflict);
 * `storage.array_unreachable`, `storage.moved_away` (unavailable).
 */

const Uuid = Type.String({ pattern: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" });
const Name = Type.String({ pattern: "^[a-zA-Z0-9][a-zA-Z0-9._-]{0,119}$" });
const Nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);
const SizeGiB = Type.Integer({ minimum: 1 });

/** What a new volume holds. Snapshot and volume are of the same backend. */
export const VolumeSource = Type.Union([
  Type.Object({ kind: Type.Literal("empty") }),
  Type.Object({ kind: Type.Literal("image"), image: ImageSource }),
  Type.Object({ kind: Type.Literal("snapshot"), snapshotId: Uuid }),
  Type.Object({ kind: Type.Literal("volume"), volumeId: Uuid }),
]);
export type VolumeSource = Static<typeof VolumeSource>;

export const VolumeSpec = Type.Object({
  volumeId: Uuid,
  sizeGiB: SizeGiB,
  source: VolumeSource,
  /** Mirrored to the backend's replication target, always. */
  replicated: Type.Boolean(),
});
export type VolumeSpec = Static<typeof VolumeSpec>;

/** How the second copy stands: `inSync` holds every acknowledged write; `stale` can not be failed over to. */
export const ReplicaState = Type.Union([Type.Literal("inSync"), Type.Literal("syncing"), Type.Literal("stale")]);
export type ReplicaState = Static<typeof ReplicaState>;

export const VolumeFacts = Type.Object({
  backend: Name,
  volumeId: Uuid,
  /** `creating` and `removing` were begun and not finished; `receiving` is a migration's destination. */
  state: Type.Union([
    Type.Literal("creating"),
    Type.Literal("receiving"),
    Type.Literal("ready"),
    Type.Literal("removing"),
  ]),
  /** What clients see now. */
  sizeBytes: Type.Integer(),
  /** Meant to be served. */
  exported: Type.Boolean(),
  /** Null when nobody serves it now. */
  connection: Nullable(Connection),
  /** Null for a volume without a second copy. */
  replica: Nullable(ReplicaState),
});
export type VolumeFacts = Static<typeof VolumeFacts>;

export const SnapshotFacts = Type.Object({
  backend: Name,
  snapshotId: Uuid,
  volumeId: Uuid,
  sizeBytes: Type.Integer(),
});
export type SnapshotFacts = Static<typeof SnapshotFacts>;

/** What a backend is and has; measured by the driver, part of its service record, kept fresh. */
export const BackendFacts = Type.Object({
  driver: Type.String(),
  vendor: Type.String(),
  driverVersion: Type.String(),
  protocol: Type.String(),
  backend: Name,
  /** `up`, or `down` when its array does not serve what it should. */
  backendState: Type.Union([Type.Literal("up"), Type.Literal("down")]),
  totalGiB: Type.Integer(),
  /** Total less provisioned, never below 0. The reserve is not taken off. */
  freeGiB: Type.Integer(),
  /** Everything promised to volumes and snapshots, whether written or not. */
  provisionedGiB: Type.Integer(),
  reservedPercent: Type.Integer(),
  thinProvisioning: Type.Boolean(),
  replicationEnabled: Type.Boolean(),
  replicationTargets: Type.Array(Name),
  /** Id of the target that serves now; null while the backend itself does. */
  activeBackendId: Nullable(Name),
  frozen: Type.Boolean(),
  volumes: Type.Integer(),
  /** Optional abilities that the driver has: `replication`, `migration`, `manageable`, `clustering`. */
  abilities: Type.Array(Type.String()),
});
export type BackendFacts = Static<typeof BackendFacts>;

/** Something on the array that is no volume of ours yet, or that is one. */
export const Manageable = Type.Object({
  /** What `volume.adopt` takes. */
  reference: Type.String(),
  sizeGiB: Type.Integer(),
  safeToManage: Type.Boolean(),
  reasonNotSafe: Nullable(Type.String()),
  /** The volume that it is already. */
  volumeId: Nullable(Uuid),
});
export type Manageable = Static<typeof Manageable>;

/** How one replicated volume came through a failover or a failback. */
export const FailoverOutcome = Type.Object({
  volumeId: Uuid,
  ok: Type.Boolean(),
  /** Why not: `storage.replica_stale` where the second copy lacks acknowledged writes. That volume is then served by nobody. */
  fault: Nullable(Type.Object({ code: Type.String(), message: Type.String() })),
  /** Of a volume that is served. */
  connection: Nullable(Connection),
});
export type FailoverOutcome = Static<typeof FailoverOutcome>;

const Backend = Type.Object({ backend: Name });
const One = Type.Object({ backend: Name, volumeId: Uuid });
const OneSnapshot = Type.Object({ backend: Name, snapshotId: Uuid });
const Nothing = Type.Object({});

export const blockStorageVerbs = {
  /**
   * Makes the volume exist with its content, not served. An existing volume is kept, whatever it holds now, and never
   * shrunk or replaced. Reports percent. Throws `storage.no_space` before anything is allocated, `storage.size_too_small`
   * for a source that does not fit, `storage.image_unsafe`, `storage.frozen`, `storage.failed_over`: also for a volume that
   * is there, but only where the backend does not serve from any more.
   */
  "volume.ensure": verb(Type.Object({ backend: Name, spec: VolumeSpec }), VolumeFacts),
  /**
   * Stops serving the volume and removes all copies of it. Fine when there is none. Snapshots stay whole without their
   * volume. A migration's destination is removed the same way.
   */
  "volume.ensureAbsent": verb(One, Nothing),
  /**
   * Grows the volume, served or not. Clients of a served one wait for a moment and must then look at its new size. Never
   * shrinks: throws `storage.size_too_small`. Throws `storage.no_space` before anything is allocated.
   */
  "volume.ensureSize": verb(Type.Object({ backend: Name, volumeId: Uuid, sizeGiB: SizeGiB }), VolumeFacts),
  /**
   * Serves the volume and keeps serving it without the agent; the answer's `connection` stays valid over failover, failback and
   * a change of the member that serves. Starts what has died. A migration's destination becomes a volume like others; a copy to
   * another backend goes on. Throws `storage.moved_away` after `volume.finishCopy`, `storage.failed_over` for a volume that has no
   * copy on the active target, `storage.replica_stale` for one whose copy there is old.
   */
  "volume.ensureExported": verb(One, VolumeFacts),
  /** Stops serving; whoever writes is cut off. Copies are equal afterwards, where the second one can be reached. */
  "volume.ensureNotExported": verb(One, VolumeFacts),
  "volume.inspect": verb(One, Type.Object({ volume: Nullable(VolumeFacts) })),
  "volume.list": verb(Backend, Type.Object({ volumes: Type.Array(VolumeFacts) })),

  /**
   * A copy of the volume as it was at one moment after the command came, while it is served too. The same id again is the
   * same snapshot: the moment does not move once the copy is complete.
   */
  "snapshot.ensure": verb(Type.Object({ backend: Name, snapshotId: Uuid, volumeId: Uuid }), SnapshotFacts),
  "snapshot.ensureAbsent": verb(OneSnapshot, Nothing),
  "snapshot.inspect": verb(OneSnapshot, Type.Object({ snapshot: Nullable(SnapshotFacts) })),

  /**
   * Destination of a migration: reserves the space and serves an empty volume to the source alone, at `target`. `address` is where
   * its clients will find it: when it is the one that they know, they come back by themselves. Ends with `volume.ensureExported` or `volume.ensureNotExported` (the volume is ready), or `volume.ensureAbsent`.
   */
  "volume.receive": verb(
    Type.Object({ backend: Name, volumeId: Uuid, sizeGiB: SizeGiB, replicated: Type.Boolean() }),
    Type.Object({ target: Connection, address: Connection }),
  ),
  /**
   * Source: copies the volume to `target`, while it is served too. Returns when both are equal; every write then goes to
   * both until `volume.finishCopy` or `volume.abandonCopy`. Reports percent with `{done, total}` in bytes. A repeat joins the copy
   * under way. Throws `storage.copy_failed`; the volume goes on as before.
   */
  "volume.copyOut": verb(
    Type.Object({ backend: Name, volumeId: Uuid, target: Connection }),
    Type.Object({ bytes: Type.Integer() }),
  ),
  /**
   * Source: stops serving and ends the copy with both sides equal, compared byte by byte when `compare`. The volume is not
   * served again from here, unless `volume.abandonCopy` takes it back: never do that once the destination serves. Throws `storage.copy_failed` when there is no copy, or it is not equal.
   */
  "volume.finishCopy": verb(
    Type.Object({ backend: Name, volumeId: Uuid, target: Connection, compare: Type.Boolean() }),
    Nothing,
  ),
  /** Source: ends the copy without a result; the volume is served again if it was, and can be. Fine when none runs. */
  "volume.abandonCopy": verb(One, Nothing),

  "backend.stats": verb(Backend, BackendFacts),
  /**
   * Serves the replicated volumes from `targetId`, or with `default` from the backend itself once its copies are equal again. Kills
   * for certain what serves now. Volumes that are not replicated are served by nobody afterwards. Each volume has its own
   * outcome; a repeat goes on with those that failed. Null chooses a target. Throws `storage.target_unknown`, or
   * `storage.target_unreachable` when the array that is to serve is not there, before anything is changed.
   */
  "backend.failover": verb(
    Type.Object({ backend: Name, targetId: Nullable(Name) }),
    Type.Object({ activeBackendId: Nullable(Name), volumes: Type.Array(FailoverOutcome) }),
  ),
  /**
   * Frozen: no new volume or snapshot (`storage.frozen`), neither by `receive` nor by `adopt`. All else goes on: what is served stays
   * served, volumes grow, are copied out and removed, and what was begun before is finished.
   */
  "backend.freeze": verb(Backend, Nothing),
  "backend.thaw": verb(Backend, Nothing),

  /** Everything on the array that could become a volume, and what is one. */
  "volume.listManageable": verb(Backend, Type.Object({ found: Type.Array(Manageable) })),
  /** Makes what `reference` names the volume `volumeId`; its size is rounded up to whole GiB. Throws `storage.reference_taken`. */
  "volume.adopt": verb(
    Type.Object({ backend: Name, volumeId: Uuid, reference: Type.String(), replicated: Type.Boolean() }),
    VolumeFacts,
  ),
  /** The volume is no longer ours; its data stays on the array and can be adopted again. Fine when it is already so. */
  "volume.release": verb(One, Type.Object({ reference: Nullable(Type.String()) })),
} as const;

export type BlockStorageVerbs = typeof blockStorageVerbs;
export type BlockStorageVerb = keyof BlockStorageVerbs;
