import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { MigrationProgress } from "../../../protocol/compute.ts";
import type { WorkHandle } from "../../../sim/sim-works.ts";
import type { MigrateOutOptions } from "../driver.ts";
import type { GuestMigration, SimGuest, SimHost } from "./sim-host.ts";
import type { SimWorld } from "./sim-world.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** What a switch-over costs when nothing forces it. */
const DOWNTIME_MS = 20;

/** A live migration between two hosts of the world. The hypervisors run it: agents may come and go meanwhile. */
export class SimMigration implements GuestMigration {
  readonly memoryUri: string;
  /** Settles once; never rejects unobserved. */
  readonly done: Promise<{ downtimeMs: number }>;
  readonly #world: SimWorld;
  readonly #source: SimHost;
  readonly #guest: SimGuest;
  readonly #destination: { host: SimHost; guest: SimGuest };
  readonly #options: MigrateOutOptions;
  readonly #listeners = new Set<(percent: number, progress: MigrationProgress) => void>();
  readonly #work: WorkHandle;
  readonly #resolve: (result: { downtimeMs: number }) => void;
  readonly #reject: (error: CloudError) => void;
  #over = false;

  /** Throws `compute.migration_failed` when nothing listens at the target. */
  constructor(world: SimWorld, source: SimHost, guest: SimGuest, options: MigrateOutOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<{ downtimeMs: number }>();
    promise.catch(() => {});
    this.done = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#world = world;
    this.#source = source;
    this.#guest = guest;
    this.#options = options;
    this.memoryUri = options.target.memoryUri;
    this.#destination = world.listenerAt(this.memoryUri) ?? migrationFailed("Nothing listens at the destination.");
    if (this.#destination.guest.incoming) this.#destination.guest.incoming.migration = this;
    this.#work = world.works.begin({
      totalMs: this.#durationMs(),
      onStep: () => this.#tell(),
      onEnd: () => this.#handOver(),
    });
    this.#work.stalled = world.dirtiesMemory(guest.serverId) && !options.autoConverge;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Calls `listener` with progress, now and until the migration is over; returns the way to end it. */
  watch(listener: (percent: number, progress: MigrationProgress) => void): () => void {
    listener(this.#work.fraction * 100, this.#progress());
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  abort(): void {
    this.#fail(new CloudError("conflict", "compute.migration_aborted", "The live migration was aborted."));
  }

  forceComplete(): void {
    this.#work.finish();
  }

  /** One of its ends is gone. */
  break(): void {
    this.#fail(new CloudError("conflict", "compute.migration_failed", "The live migration failed."));
  }

  #durationMs(): number {
    const { bandwidthMiBps } = this.#options;
    const atLimit = bandwidthMiBps > 0 ? (this.#guest.ramMiB / bandwidthMiBps) * 1000 : 0;
    return Math.max(this.#world.migrationMs, atLimit);
  }

  #handOver(): void {
    if (this.#over) return;
    this.#over = true;
    this.#tell();
    this.#listeners.clear();
    this.#world.handOver(this.#source, this.#guest, this.#destination.host, this.#destination.guest);
    this.#resolve({ downtimeMs: Math.min(DOWNTIME_MS, this.#options.downtimeMs) });
  }

  #fail(error: CloudError): void {
    if (this.#over) return;
    this.#over = true;
    this.#work.cancel();
    this.#listeners.clear();
    this.#reject(error);
    const { host, guest } = this.#destination;
    if (guest.power === "incoming") this.#world.setPower(host, guest, "crashed");
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#work.fraction * 100, this.#progress());
  }

  #progress(): MigrationProgress {
    const { fraction } = this.#work;
    const memoryTotal = this.#guest.ramMiB * MIB;
    const diskTotal = this.#options.mode === "mirror" ? (this.#guest.spec.rootDisk?.sizeGiB ?? 0) * GIB : 0;
    return {
      memoryTotal,
      memoryProcessed: Math.floor(memoryTotal * fraction),
      memoryRemaining: Math.ceil(memoryTotal * (1 - fraction)),
      diskTotal,
      diskProcessed: Math.floor(diskTotal * fraction),
      diskRemaining: Math.ceil(diskTotal * (1 - fraction)),
    };
  }
}

function migrationFailed(message: string): never {
  throw new CloudError("conflict", "compute.migration_failed", message);
}
