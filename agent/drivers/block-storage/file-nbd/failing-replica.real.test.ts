import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sleep, systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { runCommand, tryCommand } from "../../../process/run-command.ts";
import { killForCertain } from "../../../process/running-process.ts";
import type { BlockStorageDriver } from "../driver.ts";
import { createFileNbdDriver } from "./driver.ts";
import { daemonsMarked } from "./process-identity.ts";
import { Site } from "./site.ts";
import { callWithin } from "./testing/call.ts";
import { NbdClient } from "./testing/nbd-client.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";

const LIMIT_MS = 30_000;
const MIB = 1024 ** 2;
/** Room of the second array's disk: far less than the volume may write. */
const [ROOM, MORE_ROOM] = ["8m", "256m"];

/** Two arrays of one backend; the disk of the second one takes no more than `ROOM`. */
class Lab {
  readonly dir: string;
  readonly driver: BlockStorageDriver;
  get #ballast(): string {
    return join(this.dir, "second", "ballast");
  }

  private constructor(dir: string, driver: BlockStorageDriver) {
    this.dir = dir;
    this.driver = driver;
  }

  static async start(): Promise<Lab> {
    const dir = await mkdtemp(join(tmpdir(), "pl-"));
    const second = join(dir, "second");
    await mkdir(second);
    await runCommand("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", second]);
    await writeFile(join(second, "ballast"), Buffer.alloc(MIB));
    const driver = await createFileNbdDriver({
      ...{
        host: "host-1",
        backend: "replicated",
        cluster: null,
        directory: join(dir, "own"),
        runDir: join(dir, "run"),
        stateDir: join(dir, "state"),
      },
      ...{ capacityGiB: 8, reservedPercent: 0, replicationTargets: [{ id: "second", directory: second }] },
      ...{ clock: systemClock, ids: systemIds, log: silentLogger },
    });
    return new Lab(dir, driver);
  }

  /** For records, not for data. */
  async makeSomeRoom(): Promise<void> {
    await rm(this.#ballast);
  }

  async makeRoom(): Promise<void> {
    await runCommand("mount", ["-o", `remount,size=${MORE_ROOM}`, join(this.dir, "second")]);
  }

  /** Kills all that serves from this array. */
  async killArray(name: "own" | "second"): Promise<void> {
    const { tag } = new Site(name, join(this.dir, name));
    for (const pid of await daemonsMarked(`.${tag}-`)) await killForCertain(pid, systemClock);
  }

  /** A served volume whose second copy is in sync, and a client of it. */
  async mirrored(): Promise<{ volumeId: string; client: NbdClient }> {
    const volumeId = systemIds.uuid();
    await this.driver.ensure({ volumeId, sizeGiB: 1, source: { kind: "empty" }, replicated: true }, call());
    const { connection } = await this.driver.ensureExported(volumeId, call());
    assert.ok(connection);
    await this.untilInSync(volumeId);
    return { volumeId, client: new NbdClient(connection, LIMIT_MS) };
  }

  async untilInSync(volumeId: string): Promise<void> {
    const limit = systemClock.now() + LIMIT_MS;
    while ((await this.driver.inspect(volumeId))?.replica !== "inSync") {
      assert.ok(systemClock.now() < limit, "the second copy is not in sync in time");
      await sleep(systemClock, 20);
    }
  }

  async dispose(): Promise<void> {
    await this.driver.close();
    await this.killArray("own");
    await this.killArray("second");
    await runCommand("umount", [join(this.dir, "second")]);
    await rm(this.dir, { recursive: true });
  }
}

const call = () => callWithin(LIMIT_MS);

/** Writes more than the second array has room for; every write is acknowledged, by the first copy alone in the end. */
async function overfill(client: NbdClient): Promise<Buffer> {
  const data = randomBytes(16 * MIB);
  for (let offset = 0; offset < data.length; offset += MIB) {
    await client.write(offset, data.subarray(offset, offset + MIB));
  }
  return data;
}

async function read(client: NbdClient, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < length; offset += MIB) parts.push(await client.read(offset, MIB));
  return Buffer.concat(parts);
}

async function whyNoMounts(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "only root can mount a small disk";
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  const { code } = await tryCommand("mount", ["-t", "tmpfs", "tmpfs", dir]);
  if (code === 0) await runCommand("umount", [dir]);
  await rm(dir, { recursive: true });
  return code === 0 ? null : "nothing can be mounted here";
}

const skip = (await whyNoStorage()) ?? (await whyNoMounts()) ?? false;

test("a write that the second copy's disk refused is acknowledged, the first copy dies at once: no failover to the second", {
  skip,
}, async () => {
  const lab = await Lab.start();
  try {
    const { volumeId, client } = await lab.mirrored();
    const data = await overfill(client);
    // Nobody has looked since: what dies here could have told.
    await lab.killArray("own");
    await lab.makeSomeRoom();
    const failedOver = await lab.driver.replication?.failover(null, call());
    assert.deepEqual(
      failedOver?.volumes.map(({ ok, fault }) => [ok, fault?.code]),
      [[false, "storage.replica_stale"]],
    );
    const back = await lab.driver.replication?.failover("default", call());
    assert.deepEqual(
      back?.volumes.map(({ ok }) => ok),
      [true],
    );
    await lab.driver.ensureExported(volumeId, call());
    assert.ok((await read(client, data.length)).equals(data), "what was acknowledged is there");
    client.close();
  } finally {
    await lab.dispose();
  }
});

test("a second copy whose disk refused a write is stale at once, and in sync again when there is room", {
  skip,
}, async () => {
  const lab = await Lab.start();
  try {
    const { volumeId, client } = await lab.mirrored();
    const data = await overfill(client);
    const facts = await lab.driver.inspect(volumeId);
    assert.deepEqual([facts?.replica, facts?.connection === null], ["stale", false]);
    assert.equal((await lab.driver.stats()).backendState, "up");
    assert.equal((await lab.driver.ensureNotExported(volumeId, call())).replica, "stale");
    await lab.makeRoom();
    assert.equal((await lab.driver.ensureNotExported(volumeId, call())).replica, "inSync");
    await lab.driver.ensureExported(volumeId, call());
    await lab.untilInSync(volumeId);
    await lab.killArray("own");
    const failedOver = await lab.driver.replication?.failover(null, call());
    assert.deepEqual(
      failedOver?.volumes.map(({ ok }) => ok),
      [true],
    );
    assert.ok((await read(client, data.length)).equals(data), "what was acknowledged is there");
    client.close();
  } finally {
    await lab.dispose();
  }
});
