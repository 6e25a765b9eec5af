import assert from "node:assert/strict";
import type { BlockStorageCase } from "./block-storage-case.ts";
import { patternOf, type StorageContext } from "./block-storage-environment.ts";
import { rejectsWith } from "./compute-environment.ts";

const unreachable = (work: Promise<unknown>) => rejectsWith(work, "unavailable", "storage.array_unreachable");

/** A volume with a second copy, one without, and a snapshot of the first. */
async function populated(c: StorageContext) {
  const [double, single] = [c.spec({ replicated: true }), c.spec()];
  for (const spec of [double, single]) await c.env.a.driver.ensure(spec, c.call());
  const snapshotId = c.snapshotId();
  await c.env.a.driver.ensureSnapshot(snapshotId, double.volumeId, c.call());
  return { double, single, snapshotId };
}

async function failover(c: StorageContext, target: string) {
  return (await c.env.a.driver.replication?.failover(target, c.call()))?.volumes.map(({ ok }) => ok);
}

/** What drivers do while the disks of an array are away. */
export const awayCases: readonly BlockStorageCase[] = [
  {
    name: "away: an array that is away is not taken for one that holds nothing, not after a restart either",
    ability: "replication",
    async run(c) {
      const { double, single, snapshotId } = await populated(c);
      await c.env.loseDisks("default");
      for (let i = 0; i < 2; i += 1) {
        const { driver } = c.env.a;
        for (const { volumeId } of [double, single, c.spec()]) {
          await unreachable(driver.ensureAbsent(volumeId, c.call()));
          await unreachable(driver.ensureExported(volumeId, c.call()));
          await unreachable(driver.ensureNotExported(volumeId, c.call()));
          await unreachable(driver.ensureSize(volumeId, 2, c.call()));
          await unreachable(driver.ensureSnapshot(c.snapshotId(), volumeId, c.call()));
          await unreachable(driver.inspect(volumeId));
          if (driver.manageable) await unreachable(driver.manageable.release(volumeId, c.call()));
        }
        await unreachable(driver.ensureSnapshotAbsent(snapshotId, c.call()));
        for (const spec of [c.spec(), c.spec({ replicated: true }), single])
          await unreachable(driver.ensure(spec, c.call()));
        assert.equal((await driver.stats()).backendState, "down");
        await c.env.a.restart();
      }
      await c.env.findDisks("default");
      const { driver } = c.env.a;
      for (const { volumeId } of [double, single]) assert.equal((await driver.inspect(volumeId))?.state, "ready");
      assert.ok(await driver.inspectSnapshot(snapshotId));
      assert.deepEqual(await failover(c, "second"), [true]);
      assert.deepEqual(await failover(c, "default"), [true]);
    },
  },
  {
    name: "away: what is removed while another array serves is gone from the first one after the failback, and nothing else",
    ability: "replication",
    async run(c) {
      const { driver } = c.env.a;
      const { double, single, snapshotId } = await populated(c);
      const kept = c.spec();
      await driver.ensure(kept, c.call());
      const early = c.snapshotId();
      await c.env.loseDisks("second");
      await driver.ensureSnapshot(early, double.volumeId, c.call());
      await c.env.findDisks("second");
      await c.env.loseDisks("default");
      assert.deepEqual(await failover(c, "second"), [true]);
      await rejectsWith(driver.ensureExported(single.volumeId, c.call()), "conflict", "storage.failed_over");
      for (let i = 0; i < 2; i += 1) {
        for (const { volumeId } of [double, single]) await driver.ensureAbsent(volumeId, c.call());
        await driver.ensureSnapshotAbsent(snapshotId, c.call());
      }
      await c.env.findDisks("default");
      assert.deepEqual(await failover(c, "default"), []);
      for (const { volumeId } of [double, single]) assert.equal(await driver.inspect(volumeId), undefined);
      assert.equal(await driver.inspectSnapshot(snapshotId), undefined);
      assert.equal((await driver.inspect(kept.volumeId))?.state, "ready");
      assert.ok(await driver.inspectSnapshot(early), "a snapshot that has one copy");
    },
  },
  {
    name: "away: a target that is away keeps back what needs it, and what it could be failed over to with, and nothing else",
    ability: "replication",
    async run(c) {
      const { driver } = c.env.a;
      const { double, single, snapshotId } = await populated(c);
      const inUse = await c.volume({ replicated: true });
      const client = await c.client(inUse);
      await client.write(0, patternOf(1));
      await c.until("the second copy to be in sync", async () => (await driver.inspect(inUse))?.replica === "inSync");
      await c.env.loseDisks("second");
      await unreachable(driver.ensure(c.spec({ replicated: true }), c.call()));
      for (const volumeId of [double.volumeId, inUse]) await unreachable(driver.ensureAbsent(volumeId, c.call()));
      await unreachable(driver.ensureSnapshotAbsent(snapshotId, c.call()));
      await unreachable(driver.ensureExported(double.volumeId, c.call()));
      await unreachable(driver.ensureSize(double.volumeId, 2, c.call()));
      await client.write(0, patternOf(2));
      await driver.ensureSize(single.volumeId, 2, c.call());
      await driver.ensureAbsent(single.volumeId, c.call());
      await driver.ensure(c.spec(), c.call());
      await c.env.findDisks("second");
      await c.env.killArray("default");
      assert.deepEqual((await failover(c, "second"))?.toSorted(), [false, true]);
      await rejectsWith(driver.ensureExported(inUse, c.call()), "conflict", "storage.replica_stale");
      assert.deepEqual(await failover(c, "default"), [true, true]);
      assert.ok(patternOf(2).equals(await client.read(0, 4096)));
      client.close();
      await driver.ensureNotExported(inUse, c.call());
    },
  },
];
