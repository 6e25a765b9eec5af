import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { Qmp } from "../../../process/qmp.ts";
import { StorageArray } from "./array.ts";
import { endStorageDaemons } from "./end-daemons.ts";
import { failover } from "./failover.ts";
import { daemonsMarked } from "./process-identity.ts";
import { ensureExported } from "./serving.ts";
import { MIRROR } from "./storage-daemon.ts";
import { NbdClient } from "./testing/nbd-client.ts";
import { call, newSpec } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";
import { ensureVolume } from "./volumes.ts";

const skip = (await whyNoStorage()) ?? false;
const CLIENT_LIMIT_MS = 10_000;
const MIB = 1024 ** 2;

/** A backend with a second array, and a volume with a second copy. */
async function withVolume(work: (array: StorageArray, volumeId: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  const [own, second] = [join(dir, "own"), join(dir, "second")];
  try {
    const array = await StorageArray.prepare({
      ...{ host: "host-1", backend: "one", cluster: null, directory: own, runDir: join(dir, "run") },
      stateDir: join(dir, "state"),
      ...{ capacityGiB: 4, reservedPercent: 0, replicationTargets: [{ id: "second", directory: second }] },
      ...{ clock: systemClock, ids: systemIds, log: silentLogger },
    });
    const spec = newSpec();
    await ensureVolume(array, spec, call());
    await work(array, spec.volumeId);
  } finally {
    await endStorageDaemons([own, second], systemClock);
    await rm(dir, { recursive: true });
  }
}

/** Whether each volume came along. */
const outcomes = async (array: StorageArray, target: string | null) =>
  (await failover(array, target, call())).volumes.map(({ ok }) => ok);

test("who begins to serve a volume while its backend fails over does not go on taking writes at the old place", {
  skip,
}, async () => {
  await withVolume(async (array, volumeId) => {
    const kill = array.killAllDaemons.bind(array);
    // The moment after the old array's processes were killed, and before it is on record that the other one serves.
    array.killAllDaemons = async (site) => {
      await kill(site);
      await ensureExported(array, await array.required(volumeId), call().signal);
    };
    assert.deepEqual(await outcomes(array, null), [true]);
    assert.deepEqual(await daemonsMarked(`${volumeId}.${array.own.tag}-`), [], "of the old array");
    const served = await array.required(volumeId);
    assert.equal(served.main.site.id, "second");
    assert.ok(await array.daemonOf(served.main), "served at the new place");
  });
});

test("a failover that is cut short when the second copy is on record as the first goes on: clients are served", {
  skip,
}, async () => {
  await withVolume(async (array, volumeId) => {
    await ensureExported(array, await array.required(volumeId), call().signal);
    const data = Buffer.alloc(4096, "acknowledged");
    const client = new NbdClient(array.address(volumeId), CLIENT_LIMIT_MS);
    try {
      await client.write(0, data);
      const end = array.endDaemon.bind(array);
      array.endDaemon = async (copy) => {
        if (copy.site.id === "second") throw new Error("this member is killed here");
        await end(copy);
      };
      assert.deepEqual(await outcomes(array, null), [false]);
      array.endDaemon = end;
      assert.deepEqual(await outcomes(array, null), [true]);
      assert.deepEqual(await client.read(0, data.length), data);
      await client.write(4096, data);
      assert.deepEqual(await outcomes(array, "default"), [true]);
      assert.deepEqual(await client.read(4096, data.length), data);
      assert.equal((await array.required(volumeId)).main.site.id, "default");
    } finally {
      client.close();
    }
  });
});

test("a volume whose process has died is served again, and fails over while its second copy is being made equal", {
  skip,
}, async () => {
  await withVolume(async (array, volumeId) => {
    // So much that copying it takes long enough to be caught at it.
    const content = Buffer.alloc(512 * MIB, randomBytes(4096));
    for (const site of array.sites) await writeFile(site.disk(volumeId), content, { flag: "r+" });
    const exported = async () => ensureExported(array, await array.required(volumeId), call().signal);
    const client = new NbdClient(array.address(volumeId), CLIENT_LIMIT_MS);
    const writeMiB = async (at: number) => {
      content.fill("y", at * MIB, (at + 1) * MIB);
      await client.write(at * MIB, content.subarray(at * MIB, (at + 1) * MIB));
    };
    try {
      await exported();
      await writeMiB(1);
      await array.killAllDaemons(array.own);
      await exported();
      assert.ok((await slowMirror(array, volumeId)) < content.length, "some is still to be copied");
      await writeMiB(2);
      await writeMiB(511);
      await array.killAllDaemons(array.own);
      assert.deepEqual(await outcomes(array, null), [true]);
      for (let at = 0; at < content.length; at += MIB)
        assert.ok(content.subarray(at, at + MIB).equals(await client.read(at, MIB)), `${at}`);
    } finally {
      client.close();
    }
  });
});

/** From here on the mirror of the volume copies next to nothing by itself. Returns how much it has copied. */
async function slowMirror(array: StorageArray, volumeId: string): Promise<number> {
  const files = await array.daemonOf((await array.required(volumeId)).main);
  const qmp = await Qmp.open(files?.qmp ?? "", systemClock);
  try {
    await qmp.execute("block-job-set-speed", { device: MIRROR, speed: 65_536 });
    const [job] = await qmp.execute<{ offset: number; status: string }[]>("query-block-jobs");
    assert.equal(job?.status, "running");
    return job.offset;
  } finally {
    qmp.close();
  }
}
