import { type Static, Type } from "typebox";
import { Connection } from "./connection.ts";
import { GuestDiagnostics } from "./diagnostics.ts";
import { verb } from "./verb.ts";

/** What the server tells a compute agent, and what it answers. Sizes carry their unit in the name. */

const Uuid = Type.String({ pattern: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" });
const HostName = Type.String({ pattern: "^[a-zA-Z0-9._-]{1,255}$" });
const Nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);

/** An image that the agent fetches from the server once and keeps in its cache, checked by `sha256`. */
export const ImageSource = Type.Object({
  imageId: Uuid,
  format: Type.Union([
    Type.Literal("raw"),
    Type.Literal("qcow2"),
    Type.Literal("aki"),
    Type.Literal("ari"),
    Type.Literal("ami"),
  ]),
  sizeBytes: Type.Integer(),
  sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
});
export type ImageSource = Static<typeof ImageSource>;

/** One network card with everything the guest and the host's bridge need. */
export const Nic = Type.Object({
  portId: Uuid,
  mac: Type.String({ pattern: "^([0-9a-f]{2}:){5}[0-9a-f]{2}$" }),
  networkId: Uuid,
  /** VXLAN network identifier; the same on every host. */
  segment: Type.Integer(),
  mtu: Type.Integer(),
  fixedIps: Type.Array(
    Type.Object({ address: Type.String(), prefix: Type.Integer(), gateway: Nullable(Type.String()) }),
  ),
  dnsServers: Type.Array(Type.String()),
});
export type Nic = Static<typeof Nic>;

/** Where the root disk lives: on this host only, or in a store that several hosts mount (`sharedStorage` of the facts). */
export const DiskStorage = Type.Union([Type.Literal("local"), Type.Literal("shared")]);
export type DiskStorage = Static<typeof DiskStorage>;

export const RootDisk = Type.Object({ sizeGiB: Type.Integer(), storage: DiskStorage, image: ImageSource });
export type RootDisk = Static<typeof RootDisk>;

/** A volume that the guest has as a disk, served by whatever agent `connection` leads to. */
export const GuestVolume = Type.Object({
  volumeId: Uuid,
  /** `/dev/vdb`: the name that users see; no two of one guest are equal. A starting guest finds its disks in the order of their names. */
  device: Type.String({ pattern: "^/dev/vd[a-z]$" }),
  connection: Connection,
  readOnly: Type.Boolean(),
  /** The guest boots from it; then `rootDisk` is null. At most one of a guest. */
  root: Type.Boolean(),
});
export type GuestVolume = Static<typeof GuestVolume>;

export const GuestSpec = Type.Object({
  serverId: Uuid,
  /** `instance-0000002a`, as OpenStack shows it. */
  instanceName: Type.String({ pattern: "^[a-z0-9-]{1,64}$" }),
  hostname: Type.String(),
  vcpus: Type.Integer(),
  ramMiB: Type.Integer(),
  /** Null for a guest that boots from its root volume: it has no disk of the host's then. */
  rootDisk: Nullable(RootDisk),
  volumes: Type.Array(GuestVolume),
  /** Direct kernel boot, when the image names a kernel (`kernel_id`, `ramdisk_id`). */
  kernel: Nullable(ImageSource),
  ramdisk: Nullable(ImageSource),
  nics: Type.Array(Nic),
  metadata: Type.Record(Type.String(), Type.String()),
  /** Base64, as the client sent it. */
  userData: Nullable(Type.String()),
  publicKeys: Type.Array(Type.Object({ name: Type.String(), key: Type.String() })),
});
export type GuestSpec = Static<typeof GuestSpec>;

/** `incoming` waits for a migration; `moved` was migrated away and holds nothing but its process; `crashed` died by itself. */
export const GuestPower = Type.Union([
  Type.Literal("running"),
  Type.Literal("paused"),
  Type.Literal("stopped"),
  Type.Literal("incoming"),
  Type.Literal("moved"),
  Type.Literal("crashed"),
]);
export type GuestPower = Static<typeof GuestPower>;

export const GuestFacts = Type.Object({
  serverId: Uuid,
  power: GuestPower,
  vcpus: Type.Integer(),
  ramMiB: Type.Integer(),
  /** Null for a guest without a root disk of the host's. */
  diskStorage: Nullable(DiskStorage),
  /** Port ids of the cards that the guest has now. */
  portIds: Type.Array(Uuid),
  /** Volumes that the guest has now; of a stopped one those that it starts with. */
  volumeIds: Type.Array(Uuid),
});
export type GuestFacts = Static<typeof GuestFacts>;

/** What a compute host is and can do; measured by the driver, sent when the agent joins and when it changes. */
export const ComputeFacts = Type.Object({
  driver: Type.String(),
  /** `QEMU`, `KVM` or `fake`, as the hypervisor API shows it. */
  hypervisorType: Type.String(),
  /** 7.2.4 is 7002004. */
  hypervisorVersion: Type.Integer(),
  vcpus: Type.Integer(),
  ramMiB: Type.Integer(),
  diskGiB: Type.Integer(),
  cpuInfo: Type.Record(Type.String(), Type.Unknown()),
  /** Address on which other hosts reach this one for migrations. */
  migrationAddress: Type.String(),
  /** Equal on all hosts that mount the same instance store; null without one. */
  sharedStorage: Nullable(Type.String()),
  /** Seconds since the host booted. */
  uptimeS: Type.Integer(),
  /** Optional abilities that the driver has. */
  abilities: Type.Array(Type.String()),
});
export type ComputeFacts = Static<typeof ComputeFacts>;

/** What happens to the root disk; volumes are opened at both ends in either mode. A guest without root disk moves as `shared`. */
export const MigrationMode = Type.Union([Type.Literal("shared"), Type.Literal("mirror")]);
export type MigrationMode = Static<typeof MigrationMode>;

/** Bytes of a root disk: as the guest sees it, and what its content takes, with that of the image under it. */
export const DiskMeasure = Type.Object({ sizeBytes: Type.Integer(), allocatedBytes: Type.Integer() });
export type DiskMeasure = Static<typeof DiskMeasure>;

/** Where a prepared destination listens. Opaque to the server; the source's driver understands it. */
export const IncomingTarget = Type.Object({ memoryUri: Type.String(), diskUri: Nullable(Type.String()) });
export type IncomingTarget = Static<typeof IncomingTarget>;

/** Progress of a live migration; bytes. */
export const MigrationProgress = Type.Object({
  memoryTotal: Type.Integer(),
  memoryProcessed: Type.Integer(),
  memoryRemaining: Type.Integer(),
  diskTotal: Type.Integer(),
  diskProcessed: Type.Integer(),
  diskRemaining: Type.Integer(),
});
export type MigrationProgress = Static<typeof MigrationProgress>;

const One = Type.Object({ serverId: Uuid });
const Nothing = Type.Object({});

export const computeVerbs = {
  /** Fresh facts of the host. */
  "compute.probe": verb(Nothing, ComputeFacts),
  /** Everything of ours on the host, running or not. */
  "compute.list": verb(Nothing, Type.Object({ guests: Type.Array(GuestFacts) })),
  "compute.inspect": verb(One, Type.Object({ guest: Nullable(GuestFacts) })),
  /** Makes disk, config drive and network cards exist, then brings the guest to `power`. An existing disk is kept and grown, never replaced. */
  "compute.ensure": verb(
    Type.Object({
      spec: GuestSpec,
      power: Type.Union([Type.Literal("running"), Type.Literal("stopped"), Type.Literal("paused")]),
    }),
    GuestFacts,
  ),
  /**
   * Stops the guest, removes process, cards and (with `disks`) its disks. Fine when nothing is there. A shared disk stays
   * unless this host owns it, which the host does where the guest was last made to be; `evenIfOwnedElsewhere` removes it all
   * the same: for a server that is being deleted, once its guest is absent everywhere.
   */
  "compute.ensureAbsent": verb(
    Type.Object({
      serverId: Uuid,
      disks: Type.Boolean(),
      evenIfOwnedElsewhere: Type.Optional(Type.Boolean()),
    }),
    Nothing,
  ),
  /** Power actions on an existing guest; each is fine when it is already so. `graceMs` 0 means at once. */
  "compute.ensureStopped": verb(Type.Object({ serverId: Uuid, graceMs: Type.Integer() }), GuestFacts),
  "compute.ensurePaused": verb(One, GuestFacts),
  "compute.ensureUnpaused": verb(One, GuestFacts),
  /** `soft` asks the guest and falls back to a reset after `graceMs`. One key reboots once. */
  "compute.reboot": verb(
    Type.Object({
      serverId: Uuid,
      type: Type.Union([Type.Literal("soft"), Type.Literal("hard")]),
      graceMs: Type.Integer(),
    }),
    GuestFacts,
  ),
  /** The last `lines` lines of the serial console, all of it when null. */
  "compute.consoleLog": verb(
    Type.Object({ serverId: Uuid, lines: Nullable(Type.Integer()) }),
    Type.Object({ output: Type.String() }),
  ),
  /** What the guest has used since it was started. Throws `compute.guest_not_running`. */
  "compute.diagnose": verb(One, GuestDiagnostics),
  /** Connects the guest's serial console to a WebSocket that the agent opens to the server. */
  "compute.openConsole": verb(Type.Object({ serverId: Uuid, sessionId: Type.String() }), Nothing),
  /** Delivers network information into the running guest; returns what the guest reports afterwards (address list per MAC). */
  "compute.injectNetworkInfo": verb(
    Type.Object({ spec: GuestSpec }),
    Type.Object({ seenByGuest: Nullable(Type.Record(Type.String(), Type.Array(Type.String()))) }),
  ),
  /** Takes the guest's network down and up again; returns what the guest reports afterwards. */
  "compute.resetNetwork": verb(
    Type.Object({ spec: GuestSpec }),
    Type.Object({ seenByGuest: Nullable(Type.Record(Type.String(), Type.Array(Type.String()))) }),
  ),
  /** Hot plugs and unplugs cards until the guest has exactly those of the spec. */
  "compute.ensureNics": verb(Type.Object({ spec: GuestSpec }), GuestFacts),

  /**
   * Hot plugs and unplugs until the guest has exactly the volumes of the spec. A volume whose connection differs is switched to
   * the new one under the running guest, without losing or reordering an acknowledged write: both must hold the same data
   * then, and the old one must still serve. A stopped guest gets its volumes at its next start. The root volume comes and goes with
   * the guest only. Throws `compute.volume_busy` (unavailable) when the guest does not let go of a disk in time: a repeat goes on.
   */
  "compute.ensureVolumes": verb(Type.Object({ spec: GuestSpec }), GuestFacts),
  /** Lets the guest see the size of a volume that has been grown. Fine for a guest that is stopped or does not have it. */
  "compute.ensureVolumeSize": verb(Type.Object({ serverId: Uuid, volumeId: Uuid, sizeBytes: Type.Integer() }), Nothing),

  /** Source of a cold migration: serves the stopped guest's disk read-only to other hosts. Null when there is nothing to copy. */
  "compute.serveDisk": verb(One, Type.Object({ diskUri: Nullable(Type.String()) })),
  "compute.ensureDiskNotServed": verb(One, Nothing),
  /** Destination of a cold migration: copies the disk from `diskUri` (nothing to copy when null: shared storage, or no root disk), checks it. Reports percent. */
  "compute.receiveDisk": verb(Type.Object({ spec: GuestSpec, diskUri: Nullable(Type.String()) }), Nothing),

  /** Source of a live migration: how large the guest's root disk is, and what it takes; zeros without one. */
  "compute.measureDisk": verb(One, DiskMeasure),
  /** Answers whether the guest described by `spec` could run here; throws `compute.migration_refused` with a reason. */
  "compute.checkDestination": verb(
    Type.Object({
      spec: GuestSpec,
      mode: MigrationMode,
      sourceFacts: ComputeFacts,
      /** What must be free here for the disk; 0 when none is copied. */
      diskBytes: Type.Integer(),
    }),
    Nothing,
  ),
  /** Destination of a live migration: a guest process that waits for memory (and, mirrored, an empty disk that listens). */
  "compute.prepareIncoming": verb(Type.Object({ spec: GuestSpec, mode: MigrationMode }), IncomingTarget),
  /** Source: runs the migration to its end, reporting MigrationProgress. A repeat joins a migration under way. Throws `compute.migration_aborted` or `compute.migration_failed`. */
  "compute.migrateOut": verb(
    Type.Object({
      serverId: Uuid,
      target: IncomingTarget,
      mode: MigrationMode,
      /** MiB/s; 0 is unlimited. */
      bandwidthMiBps: Type.Integer(),
      downtimeMs: Type.Integer(),
      autoConverge: Type.Boolean(),
      postCopy: Type.Boolean(),
    }),
    Type.Object({ downtimeMs: Nullable(Type.Integer()) }),
  ),
  /** Source: ends the running migration; the guest goes on at the source. Fine when none runs. */
  "compute.abortMigration": verb(One, Nothing),
  /** Source: makes the running migration converge now (post-copy if permitted, else a pause). */
  "compute.forceCompleteMigration": verb(One, Nothing),
  /** Destination, after memory has arrived: lets the guest run (or stay paused), closes listeners. */
  "compute.finishIncoming": verb(Type.Object({ spec: GuestSpec, paused: Type.Boolean() }), GuestFacts),
  /** Destination: removes a guest that never received control, with its disk unless shared. Refuses (`compute.guest_running`) when the guest runs here. */
  "compute.abandonIncoming": verb(Type.Object({ serverId: Uuid }), Nothing),

  /**
   * Makes sure that the guest of `serverId` does not run on `host`; run by another host's agent. Guests beside it go on.
   * `host` refuses to launch it again (`compute.fenced`) until a command of a newer epoch or `compute.ensureAbsent`. Throws
   * `compute.fencing_unsupported`.
   */
  "compute.fence": verb(Type.Object({ host: HostName, serverId: Uuid }), Nothing),
} as const;

export type ComputeVerbs = typeof computeVerbs;
export type ComputeVerb = keyof ComputeVerbs;
