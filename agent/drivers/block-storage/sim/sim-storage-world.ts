import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { SimFaults } from "../../../sim/sim-faults.ts";
import { type SimMode, SimWorks } from "../../../sim/sim-works.ts";
import { addressOf, GIB, receiverOf, SimPool, type SimPoolOptions, type SimVolume } from "./sim-pool.ts";

export interface SimStorageWorldOptions {
  clock: Clock;
  mode?: SimMode;
  /** What copying a volume to another backend takes in `auto` mode. */
  copyMs?: number;
}

const LOOK_AGAIN_MS = 5;

/** The arrays of all simulated storage hosts of a process, and the clients of their volumes. It knows no agent. */
export class SimStorageWorld {
  readonly clock: Clock;
  readonly faults: SimFaults;
  readonly works: SimWorks;
  readonly copyMs: number;
  /** What volumes of these images hold at their beginning; others hold nothing. */
  readonly images = new Map<string, Uint8Array>();
  readonly #pools = new Map<string, SimPool>();

  constructor(options: SimStorageWorldOptions) {
    this.clock = options.clock;
    this.faults = new SimFaults(options.clock);
    this.works = new SimWorks(options.clock, options.mode ?? "auto");
    this.copyMs = options.copyMs ?? 20;
  }

  /** The host's backend; that of its cluster when another member has it already. */
  addBackend(host: string, options: SimPoolOptions): SimPool {
    const key = options.cluster ? options.cluster : `${host}@${options.backend}`;
    const pool = this.#pools.get(key) ?? new SimPool(options);
    this.#pools.set(key, pool);
    return pool;
  }

  pools(): Iterable<SimPool> {
    return this.#pools.values();
  }

  /** Everything that serves from this array of the pool dies; with `disks`, they cannot be reached either. */
  killArray(pool: SimPool, site: string, options: { disks?: boolean } = {}): void {
    if (options.disks) pool.lost.add(site);
    for (const volume of pool.volumes.values()) {
      if (volume.site === site) volume.served = false;
      // What takes the mirror's writes has died, and nobody knows whether it had them all; an idle volume's misses none.
      else if (volume.replica?.site === site && volume.exported) volume.replica.inSync = false;
    }
  }

  /** Its disks are there again, as they were. */
  repairArray(pool: SimPool, site: string): void {
    pool.lost.delete(site);
  }

  /** The mirror to the volume's second copy breaks. */
  loseReplica(pool: SimPool, volumeId: string): void {
    const { replica } = pool.volume(volumeId);
    if (replica) replica.inSync = false;
  }

  /** The volume that receives a migration at this address. */
  receiver(target: Connection): SimVolume | undefined {
    for (const pool of this.#pools.values()) {
      const volume = pool.volumes.get(target.export);
      if (volume?.state === "receiving" && pathOf(receiverOf(pool.backend, target.export)) === pathOf(target))
        return volume;
    }
    return undefined;
  }

  /** A client that waits while nobody serves, as a guest's disk does. */
  async write(target: Connection, offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    const volume = await this.#served(target, signal);
    if (offset + data.length > volume.sizeGiB * GIB) {
      throw new CloudError("invalid", "sim.beyond_end", "The write is beyond the end of the volume.");
    }
    volume.disk.write(offset, data);
    if (volume.replica?.inSync) volume.replica.disk.write(offset, data);
    if (volume.outgoing && !volume.outgoing.finished) volume.outgoing.disk.write(offset, data);
  }

  async read(target: Connection, offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    return (await this.#served(target, signal)).disk.read(offset, length);
  }

  /** Bytes. */
  async size(target: Connection, signal: AbortSignal): Promise<number> {
    return (await this.#served(target, signal)).sizeGiB * GIB;
  }

  /** Everything that exists, in words. */
  leftovers(): string[] {
    return [...this.#pools.values()].flatMap((pool) => [
      ...[...pool.volumes.keys()].map((id) => `volume ${pool.backend}/${id}`),
      ...[...pool.snapshots.keys()].map((id) => `snapshot ${pool.backend}/${id}`),
    ]);
  }

  async #served(target: Connection, signal: AbortSignal): Promise<SimVolume> {
    for (;;) {
      for (const pool of this.#pools.values()) {
        const volume = pool.volumes.get(target.export);
        if (volume?.exported && volume.served && pathOf(target) === pathOf(addressOf(volume.volumeId))) return volume;
      }
      await sleep(this.clock, LOOK_AGAIN_MS, signal);
    }
  }
}

function pathOf(target: Connection): string {
  return target.kind === "unix" ? target.path : `${target.host}:${target.port}`;
}
