import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { BlockStorageDriver } from "../drivers/block-storage/driver.ts";
import type { VolumeSource, VolumeSpec } from "../protocol/block-storage.ts";
import type { ImageSource } from "../protocol/compute.ts";
import type { Connection } from "../protocol/connection.ts";
import type { TestCall } from "./compute-environment.ts";

/** One backend as one host's driver sees it. */
export interface ConformanceBackend {
  readonly driver: BlockStorageDriver;
  /** Closes the instance and makes a new one over the same array, as an agent restart does; clients must not notice. */
  restart(): Promise<void>;
}

/** A client of a served volume. It waits and connects again when it is cut off, as a guest's disk does. */
export interface DiskClient {
  /** Resolves when the write is acknowledged. */
  write(offset: number, data: Uint8Array): Promise<void>;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Bytes, as the server says when one connects. */
  size(): Promise<number>;
  close(): void;
}

/** What a driver's test supplies: two members of a cluster over one replicated array, and a backend apart. */
export interface BlockStorageEnvironment {
  readonly a: ConformanceBackend;
  readonly b: ConformanceBackend;
  readonly other: ConformanceBackend;
  /** Of the cluster's backend. */
  readonly capacityGiB: number;
  connect(connection: Connection): DiskClient;
  /** An image of less than 1 GiB whose first bytes are `image.content`. */
  readonly image: { source: ImageSource; path(): Promise<string>; content: Uint8Array };
  /** Puts data that is nobody's on the backend apart; returns its reference. */
  strayData(content: Uint8Array, bytes: number): Promise<string>;
  /** Kills every process that serves from this array of the cluster's backend, as `kill -9` would; the disks stay. */
  killArray(site: "default" | "second"): Promise<void>;
  /** The disks of this array cannot be reached, and nothing serves from it any more. */
  loseDisks(site: "default" | "second"): Promise<void>;
  /** The array's disks are there again, as they were. */
  findDisks(site: "default" | "second"): Promise<void>;
  /** Everything of ours that exists, in words: volumes, snapshots, processes, addresses. Empty on a clean slate. */
  leftovers(): Promise<string[]>;
  readonly limitMs: number;
  dispose(): Promise<void>;
}

const BLOCK = 4096;

/** One case's view: its own volumes, calls, and streams that check every acknowledged write. */
export class StorageContext {
  readonly env: BlockStorageEnvironment;
  readonly #volumes: string[] = [];
  readonly #snapshots: string[] = [];
  #keys = 0;

  constructor(env: BlockStorageEnvironment) {
    this.env = env;
  }

  call(): TestCall {
    this.#keys += 1;
    const reported: number[] = [];
    return {
      key: `conformance/${this.#keys}`,
      epoch: 1,
      deadline: new Date(systemClock.now() + this.env.limitMs),
      signal: AbortSignal.timeout(this.env.limitMs),
      log: silentLogger,
      progress: (percent) => void reported.push(percent),
      image: this.env.image.path,
      reported,
    };
  }

  spec(options: { sizeGiB?: number; source?: VolumeSource; replicated?: boolean } = {}): VolumeSpec {
    const { sizeGiB = 1, source = { kind: "empty" }, replicated = false } = options;
    const volumeId = systemIds.uuid();
    this.#volumes.push(volumeId);
    return { volumeId, sizeGiB, source, replicated };
  }

  snapshotId(): string {
    const id = systemIds.uuid();
    this.#snapshots.push(id);
    return id;
  }

  async volume(options: Parameters<StorageContext["spec"]>[0] = {}): Promise<string> {
    const spec = this.spec(options);
    await this.env.a.driver.ensure(spec, this.call());
    return spec.volumeId;
  }

  /** Serves the volume by A and connects to it. */
  async client(volumeId: string, backend: ConformanceBackend = this.env.a): Promise<DiskClient> {
    const { connection } = await backend.driver.ensureExported(volumeId, this.call());
    assert.ok(connection);
    return this.env.connect(connection);
  }

  async read(volumeId: string, length: number, backend: ConformanceBackend = this.env.a): Promise<Uint8Array> {
    const client = await this.client(volumeId, backend);
    try {
      return await client.read(0, length);
    } finally {
      client.close();
      await backend.driver.ensureNotExported(volumeId, this.call());
    }
  }

  async until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const limit = systemClock.now() + this.env.limitMs;
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      assert.ok(systemClock.now() < limit, `${what}: not within ${this.env.limitMs} ms`);
      await sleep(systemClock, 20);
    }
  }

  async cleanUp(): Promise<void> {
    const { a, other } = this.env;
    for (const backend of [a, other]) {
      await backend.driver.setFrozen(false, this.call());
      for (const id of this.#snapshots) await backend.driver.ensureSnapshotAbsent(id, this.call());
      for (const id of this.#volumes) await backend.driver.ensureAbsent(id, this.call());
    }
    assert.deepEqual(await this.env.leftovers(), []);
  }
}

/** What block number `index` of a stream holds. */
export function patternOf(index: number): Buffer {
  const digest = createHash("sha256").update(`block ${index}`).digest();
  return Buffer.alloc(BLOCK, digest);
}

/** Writes block after block, each only when the one before is acknowledged, until it is told to stop. */
export class WriteStream {
  readonly #client: DiskClient;
  readonly #work: Promise<void>;
  #stopping = false;
  #acknowledged = 0;

  constructor(client: DiskClient) {
    this.#client = client;
    this.#work = this.#run();
    this.#work.catch(() => {});
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Ends the stream and demands that every acknowledged block can be read. Returns how many there are. */
  async verify(): Promise<number> {
    this.#stopping = true;
    await this.#work;
    await verifyBlocks(this.#client, this.#acknowledged);
    return this.#acknowledged;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      await this.#client.write(this.#acknowledged * BLOCK, patternOf(this.#acknowledged));
      this.#acknowledged += 1;
      await sleep(systemClock, 1);
    }
  }
}

export async function verifyBlocks(client: DiskClient, blocks: number): Promise<void> {
  for (let index = 0; index < blocks; index += 1) {
    const found = await client.read(index * BLOCK, BLOCK);
    assert.ok(patternOf(index).equals(found), `block ${index} of ${blocks} is lost`);
  }
}
