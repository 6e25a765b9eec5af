import assert from "node:assert/strict";
import type { BlockStorageDriver } from "../drivers/block-storage/driver.ts";
import type { BlockStorageCase } from "./block-storage-case.ts";
import { patternOf, type StorageContext, WriteStream } from "./block-storage-environment.ts";
import { rejectsWith } from "./compute-environment.ts";

const has = <T>(ability: T | undefined): T => ability ?? assert.fail("the driver lacks it");

/** A replicated volume under writes whose second copy is up to date. */
async function mirrored(c: StorageContext): Promise<{ volumeId: string; stream: WriteStream }> {
  const volumeId = await c.volume({ replicated: true });
  const stream = new WriteStream(await c.client(volumeId));
  await inSync(c, volumeId);
  await more(c, stream);
  return { volumeId, stream };
}

async function inSync(c: StorageContext, volumeId: string): Promise<void> {
  await c.until("the second copy to be in sync", async () => {
    return (await c.env.a.driver.inspect(volumeId))?.replica === "inSync";
  });
}

async function more(c: StorageContext, stream: WriteStream): Promise<void> {
  const before = stream.acknowledged;
  await c.until("more writes", async () => stream.acknowledged > before + 20);
}

async function failover(c: StorageContext, driver: BlockStorageDriver, target: string | null) {
  return has(driver.replication).failover(target, c.call());
}

export const abilityCases: readonly BlockStorageCase[] = [
  {
    name: "replication: a killed array is failed over and back, and no acknowledged write is lost",
    ability: "replication",
    async run(c) {
      const { a, b } = c.env;
      const { volumeId, stream } = await mirrored(c);
      const idle = await c.volume({ replicated: true });
      const single = c.spec();
      await a.driver.ensure(single, c.call());
      await c.env.killArray("default");
      for (let i = 0; i < 2; i += 1) {
        const { activeBackendId, volumes } = await failover(c, a.driver, null);
        assert.equal(activeBackendId, "second");
        assert.deepEqual(
          new Map(volumes.map((v) => [v.volumeId, v.ok])),
          new Map([
            [volumeId, true],
            [idle, true],
          ]),
        );
      }
      await more(c, stream);
      assert.equal((await b.driver.stats()).activeBackendId, "second");
      await rejectsWith(a.driver.ensureExported(single.volumeId, c.call()), "conflict", "storage.failed_over");
      await rejectsWith(a.driver.ensureSize(single.volumeId, 2, c.call()), "conflict", "storage.failed_over");
      for (const spec of [single, c.spec()])
        await rejectsWith(a.driver.ensure(spec, c.call()), "conflict", "storage.failed_over");
      await rejectsWith(failover(c, a.driver, "third"), "invalid", "storage.target_unknown");
      for (let i = 0; i < 2; i += 1) {
        const { activeBackendId, volumes } = await failover(c, b.driver, "default");
        assert.equal(activeBackendId, null);
        assert.deepEqual(
          volumes.map((v) => v.ok),
          [true, true],
        );
      }
      await more(c, stream);
      await inSync(c, volumeId);
      assert.ok((await stream.verify()) > 60);
      const facts = await a.driver.inspect(idle);
      assert.deepEqual([facts?.exported, facts?.replica], [false, "inSync"]);
      assert.equal((await a.driver.stats()).backendState, "up");
    },
  },
  {
    name: "replication: a planned failover of a living array loses nothing, twice",
    ability: "replication",
    async run(c) {
      const { driver } = c.env.a;
      const { stream } = await mirrored(c);
      for (let i = 0; i < 2; i += 1) {
        await failover(c, driver, "second");
        await more(c, stream);
        await failover(c, driver, "default");
        await more(c, stream);
      }
      await stream.verify();
    },
  },
  {
    name: "replication: a stale second copy is never used, and comes to be equal again",
    ability: "replication",
    async run(c) {
      const { driver } = c.env.a;
      const { volumeId, stream } = await mirrored(c);
      await c.env.killArray("second");
      await more(c, stream);
      assert.equal((await driver.inspect(volumeId))?.replica, "stale");
      await c.env.killArray("default");
      const { volumes } = await failover(c, driver, "second");
      assert.deepEqual(
        volumes.map((v) => [v.ok, v.fault?.code]),
        [[false, "storage.replica_stale"]],
      );
      await rejectsWith(driver.ensureExported(volumeId, c.call()), "conflict", "storage.replica_stale");
      const back = await failover(c, driver, "default");
      assert.deepEqual(
        back.volumes.map((v) => v.ok),
        [true],
      );
      await more(c, stream);
      await driver.ensureExported(volumeId, c.call());
      await inSync(c, volumeId);
      await c.env.killArray("default");
      assert.deepEqual(
        (await failover(c, driver, "second")).volumes.map((v) => v.ok),
        [true],
      );
      await more(c, stream);
      await stream.verify();
    },
  },
  {
    name: "replication: a failover to an array that is not there is refused before anything is changed, and so is a failback",
    ability: "replication",
    async run(c) {
      const { driver } = c.env.a;
      const { volumeId, stream } = await mirrored(c);
      await c.env.loseDisks("second");
      await rejectsWith(failover(c, driver, "second"), "conflict", "storage.target_unreachable");
      await more(c, stream);
      await c.env.findDisks("second");
      await driver.ensureExported(volumeId, c.call());
      await inSync(c, volumeId);
      await c.env.loseDisks("default");
      await failover(c, driver, "second");
      await more(c, stream);
      await rejectsWith(failover(c, driver, "default"), "conflict", "storage.target_unreachable");
      assert.equal((await driver.stats()).activeBackendId, "second");
      await more(c, stream);
      await c.env.findDisks("default");
      await failover(c, driver, "default");
      await more(c, stream);
      await stream.verify();
    },
  },
  {
    name: "migration: a served volume moves to another backend under writes",
    ability: "migration",
    async run(c) {
      const [source, other] = [has(c.env.a.driver.migration), c.env.other.driver];
      const volumeId = await c.volume();
      const stream = new WriteStream(await c.client(volumeId));
      await more(c, stream);
      const wanted = { volumeId, sizeGiB: 1, replicated: false };
      const { target, address } = await has(other.migration).receive(wanted, c.call());
      assert.deepEqual(await has(other.migration).receive(wanted, c.call()), { target, address });
      assert.deepEqual((await c.env.a.driver.inspect(volumeId))?.connection, address);
      assert.equal((await other.inspect(volumeId))?.state, "receiving");
      const call = c.call();
      for (let i = 0; i < 2; i += 1) await source.copyOut(volumeId, target, call);
      assert.ok(call.reported.length > 0);
      await more(c, stream);
      await c.env.a.driver.ensureExported(volumeId, c.call());
      await more(c, stream);
      for (let i = 0; i < 2; i += 1) await source.finishCopy(volumeId, { target, compare: true }, c.call());
      const back = c.env.a.driver.ensureExported(volumeId, c.call());
      await rejectsWith(back, "unavailable", "storage.moved_away");
      assert.equal((await other.ensureExported(volumeId, c.call())).state, "ready");
      await more(c, stream);
      await c.env.a.driver.ensureAbsent(volumeId, c.call());
      await more(c, stream);
      await stream.verify();
    },
  },
  {
    name: "migration: an abandoned copy leaves the volume as it was",
    ability: "migration",
    async run(c) {
      const [source, other] = [has(c.env.a.driver.migration), c.env.other.driver];
      const volumeId = await c.volume();
      const stream = new WriteStream(await c.client(volumeId));
      const { target } = await has(other.migration).receive({ volumeId, sizeGiB: 1, replicated: false }, c.call());
      await source.copyOut(volumeId, target, c.call());
      for (let i = 0; i < 2; i += 1) await source.abandonCopy(volumeId, c.call());
      await other.ensureAbsent(volumeId, c.call());
      await more(c, stream);
      const finish = source.finishCopy(volumeId, { target, compare: false }, c.call());
      await rejectsWith(finish, "conflict", "storage.copy_failed");
      await stream.verify();
    },
  },
  {
    name: "migration: a copy that was finished is taken back, served as it would have been",
    ability: "migration",
    async run(c) {
      const [source, other] = [has(c.env.a.driver.migration), c.env.other.driver];
      for (const leaves of [false, true]) {
        const volumeId = await c.volume();
        const stream = new WriteStream(await c.client(volumeId));
        await more(c, stream);
        const wanted = { volumeId, sizeGiB: 1, replicated: false };
        const { target } = await has(other.migration).receive(wanted, c.call());
        await source.copyOut(volumeId, target, c.call());
        await source.finishCopy(volumeId, { target, compare: false }, c.call());
        if (leaves) await c.env.a.driver.ensureNotExported(volumeId, c.call());
        for (let i = 0; i < 2; i += 1) await source.abandonCopy(volumeId, c.call());
        await other.ensureAbsent(volumeId, c.call());
        assert.equal((await c.env.a.driver.inspect(volumeId))?.exported, !leaves);
        if (leaves) await c.env.a.driver.ensureExported(volumeId, c.call());
        await more(c, stream);
        await stream.verify();
      }
    },
  },
  {
    name: "migration: a copy that is taken back after a failover is served by nobody until the failback",
    ability: "migration",
    async run(c) {
      const [source, other] = [has(c.env.a.driver.migration), c.env.other.driver];
      const volumeId = await c.volume();
      await c.env.a.driver.ensureExported(volumeId, c.call());
      const { target } = await has(other.migration).receive({ volumeId, sizeGiB: 1, replicated: false }, c.call());
      await source.copyOut(volumeId, target, c.call());
      await failover(c, c.env.a.driver, "second");
      for (let i = 0; i < 2; i += 1) await source.abandonCopy(volumeId, c.call());
      await other.ensureAbsent(volumeId, c.call());
      assert.equal((await c.env.a.driver.inspect(volumeId))?.connection, null);
      await failover(c, c.env.a.driver, "default");
      assert.ok((await c.env.a.driver.ensureExported(volumeId, c.call())).connection);
    },
  },
  {
    name: "migration: an idle volume moves with its content",
    ability: "migration",
    async run(c) {
      const [source, other] = [has(c.env.a.driver.migration), c.env.other.driver];
      const { content } = c.env.image;
      const volumeId = await c.volume({ source: { kind: "image", image: c.env.image.source } });
      const { target } = await has(other.migration).receive({ volumeId, sizeGiB: 1, replicated: false }, c.call());
      await source.copyOut(volumeId, target, c.call());
      await source.finishCopy(volumeId, { target, compare: true }, c.call());
      await other.ensureNotExported(volumeId, c.call());
      await c.env.a.driver.ensureAbsent(volumeId, c.call());
      assert.deepEqual(Buffer.from(await c.read(volumeId, content.length, c.env.other)), Buffer.from(content));
    },
  },
  {
    name: "manageable: data becomes a volume and is let go again",
    ability: "manageable",
    async run(c) {
      const { driver } = c.env.other;
      const manageable = has(driver.manageable);
      const reference = await c.env.strayData(patternOf(5), 1_000_000);
      const [found] = await manageable.list();
      assert.deepEqual([found?.reference, found?.sizeGiB, found?.safeToManage], [reference, 1, true]);
      const { volumeId } = c.spec();
      for (let i = 0; i < 2; i += 1) {
        const facts = await manageable.adopt(volumeId, { reference, replicated: false }, c.call());
        assert.deepEqual([facts.state, facts.sizeBytes], ["ready", 1024 ** 3]);
      }
      assert.ok(patternOf(5).equals(await c.read(volumeId, 4096, c.env.other)));
      const taken = manageable.adopt(c.spec().volumeId, { reference, replicated: false }, c.call());
      await rejectsWith(taken, "conflict", "storage.reference_taken");
      assert.equal((await manageable.list())[0]?.volumeId, volumeId);
      const released = await manageable.release(volumeId, c.call());
      assert.equal(await manageable.release(volumeId, c.call()), released);
      assert.equal(await driver.inspect(volumeId), undefined);
      const again = await manageable.adopt(volumeId, { reference: released ?? "", replicated: false }, c.call());
      assert.equal(again.state, "ready");
      assert.ok(patternOf(5).equals(await c.read(volumeId, 4096, c.env.other)));
    },
  },
  {
    name: "clustering: members do each other's work, one at a time for each volume",
    ability: "clustering",
    async run(c) {
      const { a, b } = c.env;
      const specs = [c.spec(), c.spec(), c.spec()];
      const both = specs.flatMap((spec) => [a, b].map(({ driver }) => driver.ensure(spec, c.call())));
      await Promise.all(both);
      assert.equal((await b.driver.stats()).provisionedGiB, 3);
      const volumeId = specs[0]?.volumeId ?? "";
      const stream = new WriteStream(await c.client(volumeId, a));
      await more(c, stream);
      const snapshotId = c.snapshotId();
      await Promise.all([
        a.driver.ensureSize(volumeId, 2, c.call()),
        b.driver.ensureSnapshot(snapshotId, volumeId, c.call()),
        b.driver.ensureSize(volumeId, 2, c.call()),
        a.driver.ensureExported(volumeId, c.call()),
        b.driver.ensureExported(volumeId, c.call()),
      ]);
      await more(c, stream);
      await stream.verify();
      assert.deepEqual(await a.driver.inspect(volumeId), await b.driver.inspect(volumeId));
      await b.driver.ensureAbsent(volumeId, c.call());
      assert.equal(await a.driver.inspect(volumeId), undefined);
    },
  },
  {
    name: "clustering: two members never promise the same space",
    ability: "clustering",
    async run(c) {
      const { a, b, capacityGiB } = c.env;
      const sizeGiB = Math.floor(capacityGiB / 2) + 1;
      const results = await Promise.allSettled(
        [a, b].map(({ driver }) => driver.ensure(c.spec({ sizeGiB }), c.call())),
      );
      assert.deepEqual(results.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    },
  },
];
