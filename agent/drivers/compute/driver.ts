import type {
  ComputeFacts,
  DiskMeasure,
  GuestFacts,
  GuestSpec,
  IncomingTarget,
  MigrationMode,
} from "../../protocol/compute.ts";
import type { GuestDiagnostics } from "../../protocol/diagnostics.ts";
import type { Call } from "../../runtime/call.ts";

/** Addresses per MAC as the guest itself reports them; null when the guest has no agent to ask. */
export type SeenByGuest = Record<string, string[]> | null;

/**
 * One kind of hypervisor. Runs in the agent; knows no database, no HTTP, no other driver.
 *
 * Every call is an "ensure": repeating it is harmless and joins work under way, an id that is gone is fine where
 * something is to become absent. What the call must not lose in a crash is on disk before it returns. Guests outlive
 * the agent: a new driver instance over the same state folder finds and adopts them. It never kills what it did not make.
 */
export interface ComputeDriver {
  readonly kind: string;
  probe(): Promise<ComputeFacts>;
  /** Everything of ours that exists on this host, running or not. */
  list(): AsyncIterable<GuestFacts>;
  inspect(serverId: string): Promise<GuestFacts | undefined>;
  ensure(spec: GuestSpec, power: "running" | "stopped" | "paused", call: Call): Promise<GuestFacts>;
  ensureAbsent(serverId: string, options: RemoveOptions, call: Call): Promise<void>;
  ensureStopped(serverId: string, options: { graceMs: number }, call: Call): Promise<GuestFacts>;
  ensurePaused(serverId: string, call: Call): Promise<GuestFacts>;
  ensureUnpaused(serverId: string, call: Call): Promise<GuestFacts>;
  reboot(serverId: string, options: { type: "soft" | "hard"; graceMs: number }, call: Call): Promise<GuestFacts>;
  consoleLog(serverId: string, lines: number | null): Promise<string>;
  /** What the running guest has used. Throws `compute.guest_not_running`. */
  diagnose(serverId: string): Promise<GuestDiagnostics>;
  /** A live duplex stream to the serial console. */
  openConsole(serverId: string): Promise<NodeJS.ReadWriteStream>;
  /** Releases what this process holds (sockets, timers). Guests go on. */
  close(): Promise<void>;

  readonly networking?: GuestNetworking;
  readonly volumes?: GuestVolumes;
  readonly coldMigration?: ColdMigration;
  readonly liveMigration?: LiveMigration;
  readonly fencing?: Fencing;
  readonly events?: GuestEvents;
}

export interface RemoveOptions {
  /** With local disks, and with a shared one that this host owns: the host where the guest was last made to be. */
  disks: boolean;
  /**
   * Removes a shared disk whichever host owns it. Only for a server that is itself being deleted, once its guest is known to
   * be absent from every host.
   */
  evenIfOwnedElsewhere?: boolean;
}

export interface GuestNetworking {
  injectNetworkInfo(spec: GuestSpec, call: Call): Promise<SeenByGuest>;
  resetNetwork(spec: GuestSpec, call: Call): Promise<SeenByGuest>;
  ensureNics(spec: GuestSpec, call: Call): Promise<GuestFacts>;
}

export interface GuestVolumes {
  /** Throws `compute.volume_busy` when the guest keeps a disk: a repeat goes on. */
  ensureVolumes(spec: GuestSpec, call: Call): Promise<GuestFacts>;
  ensureVolumeSize(serverId: string, options: { volumeId: string; sizeBytes: number }, call: Call): Promise<void>;
}

export interface ColdMigration {
  /** Null when the disk is on shared storage and needs no copy, or there is none. */
  serveDisk(serverId: string, call: Call): Promise<string | null>;
  ensureDiskNotServed(serverId: string, call: Call): Promise<void>;
  receiveDisk(spec: GuestSpec, diskUri: string | null, call: Call): Promise<void>;
}

export interface LiveMigration {
  /** Throws `compute.guest_not_found`. */
  measureDisk(serverId: string, call: Call): Promise<DiskMeasure>;
  checkDestination(spec: GuestSpec, options: DestinationOptions, call: Call): Promise<void>;
  prepareIncoming(spec: GuestSpec, mode: MigrationMode, call: Call): Promise<IncomingTarget>;
  migrateOut(serverId: string, options: MigrateOutOptions, call: Call): Promise<{ downtimeMs: number | null }>;
  abortMigration(serverId: string, call: Call): Promise<void>;
  forceCompleteMigration(serverId: string, call: Call): Promise<void>;
  finishIncoming(spec: GuestSpec, options: { paused: boolean }, call: Call): Promise<GuestFacts>;
  abandonIncoming(serverId: string, call: Call): Promise<void>;
}

export interface DestinationOptions {
  mode: MigrationMode;
  sourceFacts: ComputeFacts;
  /** What must be free for the disk; 0 when none is copied. */
  diskBytes: number;
}

export interface MigrateOutOptions {
  target: IncomingTarget;
  mode: MigrationMode;
  bandwidthMiBps: number;
  downtimeMs: number;
  autoConverge: boolean;
  postCopy: boolean;
}

/**
 * Kills one guest of another host for certain, so that it can be started elsewhere. The guests beside it go on. That host
 * launches the guest again (else `compute.fenced`) only for a command of a newer epoch, or after it was told `ensureAbsent`.
 */
export interface Fencing {
  fence(host: string, serverId: string, call: Call): Promise<void>;
}

/** `died`: the guest's process is gone without anybody asking; `stopped`: the guest shut itself down. */
export interface GuestEvent {
  kind: "died" | "stopped";
  guest: GuestFacts;
}

/** Tells what happens to guests by itself. An event may be lost with the agent; `list` of the next boot makes up for it. */
export interface GuestEvents {
  /** Returns the way to end the subscription. */
  subscribe(listener: (event: GuestEvent) => void): () => void;
}
