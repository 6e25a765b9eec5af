import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type {
  GuestFacts,
  GuestPower,
  GuestSpec,
  GuestVolume,
  MigrationMode,
  MigrationProgress,
  Nic,
} from "../../../protocol/compute.ts";
import type { GuestEvent, SeenByGuest } from "../driver.ts";
import { SimConsole, type SimTicker } from "./sim-console.ts";

export interface SimHostOptions {
  name: string;
  vcpus?: number;
  ramMiB?: number;
  diskGiB?: number;
  /** Id of an instance store; hosts with the same id share it. */
  sharedStorage?: string | null;
  /** Guests migrate only between equal models. */
  cpuModel?: string;
}

export interface SimDisk {
  readonly serverId: string;
  sizeGiB: number;
  readonly imageId: string;
  readonly ticker: SimTicker;
  /** Of a shared disk: the host where the guest was last made to be. Only it removes the disk. */
  owner?: string;
}

/** A live migration as the two guests of it see it. */
export interface GuestMigration {
  /** Settles once; never rejects unobserved. */
  readonly done: Promise<{ downtimeMs: number }>;
  readonly memoryUri: string;
  readonly over: boolean;
  /** Calls `listener` with progress, now and until the migration is over; returns the way to end it. */
  watch(listener: (percent: number, progress: MigrationProgress) => void): () => void;
  abort(): void;
  forceComplete(): void;
  /** One of its ends is gone. */
  break(): void;
}

/** What makes a guest wait for a migration. */
export interface SimIncoming {
  readonly memoryUri: string;
  readonly diskUri: string | null;
  readonly mode: MigrationMode;
  migration: GuestMigration | undefined;
}

/** A simulated hypervisor's machine: part of the world, so it outlives agents and drivers. */
export class SimHost {
  readonly name: string;
  readonly vcpus: number;
  readonly ramMiB: number;
  readonly diskGiB: number;
  readonly sharedStorage: string | null;
  readonly cpuModel: string;
  readonly bootedAt: number;
  /** An address for show, as clients demand one: from 198.18.0.0/15, the block set aside for tests of devices. */
  readonly address: string;
  readonly guests = new Map<string, SimGuest>();
  readonly disks = new Map<string, SimDisk>();
  /** Servers whose disks are served to other hosts. */
  readonly served = new Set<string>();
  /** Servers that were fenced off this host, with the epoch of who did it. */
  readonly fenced = new Map<string, number>();
  readonly listeners = new Set<(event: GuestEvent) => void>();

  /** `ordinal`: how many hosts the world had before. */
  constructor(options: SimHostOptions, nowMs: number, ordinal: number) {
    this.name = options.name;
    this.vcpus = options.vcpus ?? 16;
    this.ramMiB = options.ramMiB ?? 65_536;
    this.diskGiB = options.diskGiB ?? 2000;
    this.sharedStorage = options.sharedStorage ?? null;
    this.cpuModel = options.cpuModel ?? "sim64";
    this.bootedAt = nowMs;
    const last = ordinal + 1;
    this.address = `198.${18 + ((last >> 16) & 1)}.${(last >> 8) & 255}.${last & 255}`;
  }
}

/** Throws `compute.fenced` for a command that is no newer than the fence; a newer one lifts it. */
export function requireNotFenced(host: SimHost, serverId: string, epoch: number): void {
  if (epoch <= (host.fenced.get(serverId) ?? Number.NEGATIVE_INFINITY)) {
    throw new CloudError("conflict", "compute.fenced", `Server ${serverId} was fenced off this host.`);
  }
  host.fenced.delete(serverId);
}

export class SimGuest {
  readonly serverId: string;
  spec: GuestSpec;
  /** Written by `SimWorld.setPower` only. */
  power: GuestPower = "stopped";
  /** What the machine got when it was last powered on. */
  vcpus: number;
  ramMiB: number;
  nics: readonly Nic[];
  /** What it has now. Written by `SimVolumeUse` only. */
  volumes: readonly GuestVolume[];
  /** Bytes of the volumes whose new size it was told, by id. */
  readonly volumeSizes = new Map<string, number>();
  console = new SimConsole();
  incoming: SimIncoming | undefined;
  migration: GuestMigration | undefined;
  /** Keys of the latest reboots. */
  readonly rebootKeys: string[] = [];
  /** Network information as it was last delivered into the guest. */
  seenByGuest: SeenByGuest = null;
  networkResets = 0;

  constructor(spec: GuestSpec) {
    this.serverId = spec.serverId;
    this.spec = spec;
    this.vcpus = spec.vcpus;
    this.ramMiB = spec.ramMiB;
    this.nics = spec.nics;
    this.volumes = spec.volumes;
  }

  /** Holds its disk and could write to it. */
  get active(): boolean {
    return this.power === "running" || this.power === "paused";
  }

  facts(): GuestFacts {
    return {
      serverId: this.serverId,
      power: this.power,
      vcpus: this.vcpus,
      ramMiB: this.ramMiB,
      diskStorage: this.spec.rootDisk?.storage ?? null,
      portIds: this.nics.map((nic) => nic.portId),
      volumeIds: this.volumes.map((volume) => volume.volumeId),
    };
  }
}
