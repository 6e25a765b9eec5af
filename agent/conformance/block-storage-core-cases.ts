import assert from "node:assert/strict";
import { Value } from "typebox/value";
import { BackendFacts, VolumeFacts } from "../protocol/block-storage.ts";
import type { BlockStorageCase } from "./block-storage-case.ts";
import { patternOf, verifyBlocks, WriteStream } from "./block-storage-environment.ts";
import { rejectsWith } from "./compute-environment.ts";

const GIB = 1024 ** 3;

/** What every block-storage driver must do. */
export const coreCases: readonly BlockStorageCase[] = [
  {
    name: "a volume is made once, counted, listed and removed",
    async run(c) {
      const { driver } = c.env.a;
      const spec = c.spec({ sizeGiB: 2 });
      for (let i = 0; i < 2; i += 1) {
        const facts = await driver.ensure(spec, c.call());
        assert.ok(Value.Check(VolumeFacts, facts));
        assert.deepEqual([facts.state, facts.sizeBytes, facts.connection], ["ready", 2 * GIB, null]);
      }
      const stats = await driver.stats();
      assert.ok(Value.Check(BackendFacts, stats));
      assert.deepEqual([stats.provisionedGiB, stats.volumes, stats.backendState], [2, 1, "up"]);
      assert.equal(stats.freeGiB, stats.totalGiB - 2);
      assert.deepEqual(
        (await driver.list()).map(({ volumeId }) => volumeId),
        [spec.volumeId],
      );
      for (let i = 0; i < 2; i += 1) await driver.ensureAbsent(spec.volumeId, c.call());
      assert.equal(await driver.inspect(spec.volumeId), undefined);
      assert.equal((await driver.stats()).provisionedGiB, 0);
    },
  },
  {
    name: "a full pool refuses before anything is allocated",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume({ sizeGiB: c.env.capacityGiB - 1 });
      const spec = c.spec({ sizeGiB: 2 });
      await rejectsWith(driver.ensure(spec, c.call()), "noCapacity", "storage.no_space");
      assert.equal(await driver.inspect(spec.volumeId), undefined);
      const larger = driver.ensureSize(volumeId, c.env.capacityGiB + 1, c.call());
      await rejectsWith(larger, "noCapacity", "storage.no_space");
      assert.equal((await driver.stats()).provisionedGiB, c.env.capacityGiB - 1);
      const snapshot = driver.ensureSnapshot(c.snapshotId(), volumeId, c.call());
      await rejectsWith(snapshot, "noCapacity", "storage.no_space");
    },
  },
  {
    name: "a volume of an image holds it and does not fit into less",
    async run(c) {
      const source = { kind: "image", image: c.env.image.source } as const;
      const volumeId = await c.volume({ source });
      const { content } = c.env.image;
      assert.deepEqual(Buffer.from(await c.read(volumeId, content.length)), Buffer.from(content));
    },
  },
  {
    name: "snapshots of idle and of served volumes are of one moment, and volumes are made of them",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume();
      const client = await c.client(volumeId);
      await client.write(0, patternOf(0));
      const served = c.snapshotId();
      await driver.ensureSnapshot(served, volumeId, c.call());
      await client.write(0, patternOf(1));
      client.close();
      await driver.ensureNotExported(volumeId, c.call());
      const idle = c.snapshotId();
      for (let i = 0; i < 2; i += 1) await driver.ensureSnapshot(idle, volumeId, c.call());
      await driver.ensureSnapshot(served, volumeId, c.call());
      const copies = [
        await c.volume({ source: { kind: "snapshot", snapshotId: served } }),
        await c.volume({ source: { kind: "snapshot", snapshotId: idle } }),
        await c.volume({ source: { kind: "volume", volumeId }, sizeGiB: 2 }),
      ];
      await driver.ensureAbsent(volumeId, c.call());
      const found = [];
      for (const copy of copies) found.push(Buffer.from(await c.read(copy, 4096)));
      assert.ok(found[0]?.equals(patternOf(0)) && found[1]?.equals(patternOf(1)) && found[2]?.equals(patternOf(1)));
      assert.equal((await driver.inspect(copies[2] ?? ""))?.sizeBytes, 2 * GIB);
      for (let i = 0; i < 2; i += 1) await driver.ensureSnapshotAbsent(served, c.call());
      assert.equal(await driver.inspectSnapshot(served), undefined);
      assert.equal((await driver.inspectSnapshot(idle))?.volumeId, volumeId);
    },
  },
  {
    name: "a snapshot under writes holds what was acknowledged before and nothing torn",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume();
      const stream = new WriteStream(await c.client(volumeId));
      await c.until("a few writes", async () => stream.acknowledged > 20);
      const before = stream.acknowledged;
      const snapshotId = c.snapshotId();
      await driver.ensureSnapshot(snapshotId, volumeId, c.call());
      const copy = await c.volume({ source: { kind: "snapshot", snapshotId } });
      const client = await c.client(copy);
      await verifyBlocks(client, before);
      client.close();
      await c.until("writes after it", async () => stream.acknowledged > before);
      await stream.verify();
    },
  },
  {
    name: "a volume grows idle and served, under writes, and never shrinks",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume({ replicated: driver.replication !== undefined });
      await driver.ensureSize(volumeId, 2, c.call());
      const stream = new WriteStream(await c.client(volumeId));
      await c.until("a few writes", async () => stream.acknowledged > 20);
      for (let i = 0; i < 2; i += 1) {
        const { sizeBytes } = await driver.ensureSize(volumeId, 3, c.call());
        assert.equal(sizeBytes, 3 * GIB);
      }
      const before = stream.acknowledged;
      await c.until("writes after it", async () => stream.acknowledged > before + 20);
      const again = await c.client(volumeId);
      assert.equal(await again.size(), 3 * GIB);
      await again.write(3 * GIB - 4096, patternOf(7));
      again.close();
      await rejectsWith(driver.ensureSize(volumeId, 1, c.call()), "invalid", "storage.size_too_small");
      await stream.verify();
    },
  },
  {
    name: "a new instance adopts what is served; clients do not notice",
    async run(c) {
      const volumeId = await c.volume();
      const stream = new WriteStream(await c.client(volumeId));
      await c.until("a few writes", async () => stream.acknowledged > 10);
      const before = await c.env.a.driver.inspect(volumeId);
      await c.env.a.restart();
      assert.deepEqual(await c.env.a.driver.inspect(volumeId), before);
      assert.deepEqual(await c.env.a.driver.ensureExported(volumeId, c.call()), before);
      await stream.verify();
      const idle = await c.env.a.driver.ensureNotExported(volumeId, c.call());
      assert.deepEqual([idle.exported, idle.connection], [false, null]);
    },
  },
  {
    name: "what has died is seen, and served again",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume();
      const stream = new WriteStream(await c.client(volumeId));
      await c.until("a few writes", async () => stream.acknowledged > 10);
      await c.env.killArray("default");
      assert.equal((await driver.inspect(volumeId))?.connection, null);
      assert.equal((await driver.stats()).backendState, "down");
      const before = stream.acknowledged;
      await driver.ensureExported(volumeId, c.call());
      await c.until("writes after it", async () => stream.acknowledged > before + 10);
      await stream.verify();
      assert.equal((await driver.stats()).backendState, "up");
    },
  },
  {
    name: "what has died is served again with nobody asking for the volume: who reports sees to it",
    async run(c) {
      const { driver } = c.env.a;
      const volumeIds = [await c.volume(), await c.volume()];
      const streams: WriteStream[] = [];
      for (const id of volumeIds) streams.push(new WriteStream(await c.client(id)));
      const idle = await c.volume();
      await c.env.killArray("default");
      const before = streams.map(({ acknowledged }) => acknowledged);
      await c.until("the backend to be up", async () => (await driver.stats()).backendState === "up");
      for (const [i, stream] of streams.entries()) {
        await c.until("writes after it", async () => stream.acknowledged > (before[i] ?? 0) + 10);
        await stream.verify();
      }
      assert.equal((await driver.inspect(idle))?.exported, false);
    },
  },
  {
    name: "a frozen backend makes nothing new; what it has is served, grows and goes",
    async run(c) {
      const { driver } = c.env.a;
      const volumeId = await c.volume();
      const client = await c.client(volumeId);
      const [unwanted, snapshotId] = [await c.volume(), c.snapshotId()];
      await driver.ensureSnapshot(snapshotId, unwanted, c.call());
      for (let i = 0; i < 2; i += 1) await driver.setFrozen(true, c.call());
      assert.equal((await driver.stats()).frozen, true);
      const refused = [driver.ensure(c.spec(), c.call()), driver.ensureSnapshot(c.snapshotId(), volumeId, c.call())];
      await Promise.all(refused.map((work) => rejectsWith(work, "conflict", "storage.frozen")));
      await client.write(0, patternOf(3));
      assert.ok(patternOf(3).equals(await client.read(0, 4096)));
      client.close();
      await driver.ensureNotExported(volumeId, c.call());
      await driver.ensureExported(volumeId, c.call());
      assert.equal((await driver.ensureSize(volumeId, 2, c.call())).sizeBytes, 2 * GIB);
      await driver.ensureSnapshotAbsent(snapshotId, c.call());
      assert.equal(await driver.inspectSnapshot(snapshotId), undefined);
      await driver.ensureAbsent(unwanted, c.call());
      assert.equal(await driver.inspect(unwanted), undefined);
    },
  },
  {
    name: "what acts on a volume needs one, and an id that is one",
    async run(c) {
      const { driver } = c.env.a;
      const { volumeId } = c.spec();
      await rejectsWith(driver.ensureExported(volumeId, c.call()), "notFound", "storage.volume_not_found");
      await rejectsWith(driver.ensureSize(volumeId, 2, c.call()), "notFound", "storage.volume_not_found");
      const snapshot = driver.ensureSnapshot(c.snapshotId(), volumeId, c.call());
      await rejectsWith(snapshot, "notFound", "storage.volume_not_found");
      const source = { kind: "snapshot", snapshotId: c.snapshotId() } as const;
      await rejectsWith(driver.ensure(c.spec({ source }), c.call()), "notFound", "storage.snapshot_not_found");
      await rejectsWith(driver.ensureAbsent("../../etc", c.call()), "invalid", "storage.invalid_id");
    },
  },
];
