import assert from "node:assert/strict";
import { open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import type { StorageArray } from "./array.ts";
import { GIB } from "./disk-files.ts";
import { failover } from "./failover.ts";
import type { CopyRecord } from "./records.ts";
import { ensureNotExported } from "./serving.ts";
import { ensureSnapshot, removeSnapshot, snapshotSite } from "./snapshots.ts";
import { call, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { ensureVolume, removeVolume } from "./volumes.ts";

async function beginningOf(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    return (await file.read(Buffer.alloc(16), 0, 16, 0)).buffer;
  } finally {
    await file.close();
  }
}

const cuts: Record<string, (array: StorageArray, record: CopyRecord) => Promise<void>> = {
  "before the data was gone": async (array, record) => {
    for (const site of array.sites) await site.writeCopy({ ...record, state: "removing" });
  },
  "when the first copy alone was on record as going": async (array, record) => {
    await array.own.writeCopy({ ...record, state: "removing" });
  },
  "when the record was gone and the data was not": async (array, record) => {
    await array.targets[0]?.writeCopy({ ...record, role: "replica", state: "removing" });
    await rm(join(array.own.volumeDir(record.volumeId), "record.json"));
  },
};

for (const [when, cut] of Object.entries(cuts)) {
  test(`a volume made under the id of one whose removal was cut short ${when} holds nothing of it`, async (t) => {
    const array = await replicatedArray(t);
    const spec = newSpec();
    const { main } = await ensureVolume(array, spec, call());
    for (const site of array.sites) {
      const file = await open(site.disk(spec.volumeId), "r+");
      await file.write(Buffer.alloc(16, "x"), 0, 16, 0);
      await file.close();
    }
    await cut(array, main.record);
    const made = await ensureVolume(array, { ...spec, sizeGiB: 2 }, call());
    assert.deepEqual([made.main.record.state, made.main.record.sizeGiB], ["ready", 2]);
    for (const site of array.sites) {
      assert.deepEqual(await beginningOf(site.disk(spec.volumeId)), Buffer.alloc(16), site.id);
    }
  });
}

test("a second copy whose first one is not seen is no remains: nothing is made over it", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  const second = array.targets[0]?.disk(spec.volumeId) ?? "";
  await writeFile(second, "kept");
  await rm(array.own.volumeDir(spec.volumeId), { recursive: true });
  await assert.rejects(ensureVolume(array, spec, call()), { code: "storage.exists_differently" });
  assert.equal(await readFile(second, "utf8"), "kept");
});

test("a replicated volume is not removed while its second copy's array is away, and then with it", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  const second = array.targets[0]?.directory ?? "";
  await rename(second, `${second}.away`);
  await assert.rejects(removeVolume(array, spec.volumeId), { code: "storage.array_unreachable" });
  assert.equal((await array.own.copy(spec.volumeId))?.state, "ready");
  await rename(`${second}.away`, second);
  for (let i = 0; i < 2; i += 1) await removeVolume(array, spec.volumeId);
  for (const site of array.sites) assert.deepEqual(await site.copies(), [], site.id);
});

test("a volume is removed while the backend's own array is away and another one serves", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  await rename(array.own.directory, `${array.own.directory}.away`);
  await failover(array, null, call());
  await removeVolume(array, spec.volumeId);
  await rename(`${array.own.directory}.away`, array.own.directory);
  await failover(array, "default", call());
  for (const site of array.sites) assert.deepEqual(await site.copies(), [], site.id);
});

test("a volume is whole in both arrays whichever of them knew last that it was made", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  const { main, replica } = await ensureVolume(array, spec, call());
  assert.ok(replica);
  const outcomes = async (target: string | null) =>
    (await failover(array, target, call())).volumes.map(({ volumeId, ok }) => [volumeId, ok]);
  // Made while the second array was away; equal since.
  await array.update(replica, { state: "creating", trust: { kind: "stale" } });
  await ensureNotExported(array, await array.required(spec.volumeId), call().signal);
  assert.deepEqual(await outcomes(null), [[spec.volumeId, true]]);
  // Whoever made it was killed before the first array knew, and the backend failed over.
  await array.update(main, { ...((await array.own.copy(spec.volumeId)) ?? main.record), state: "creating" });
  assert.equal((await ensureVolume(array, spec, call())).main.record.state, "ready");
  assert.deepEqual(await outcomes("default"), [[spec.volumeId, true]]);
  const home = (await array.required(spec.volumeId)).main;
  assert.deepEqual([home.site.id, home.record.state], ["default", "ready"]);
});

test("a volume whose backend fails over while it is made is refused, now and when it is asked for again", async (t) => {
  for (const replicated of [true, false]) {
    const array = await replicatedArray(t);
    const spec = { ...newSpec(), replicated };
    const write = array.own.writeCopy.bind(array.own);
    const spy = t.mock.method(array.own, "writeCopy", async (record: CopyRecord) => {
      await write(record);
      spy.mock.restore();
      await failover(array, null, call());
    });
    for (let i = 0; i < 2; i += 1)
      await assert.rejects(ensureVolume(array, spec, call()), { code: "storage.failed_over" }, String(replicated));
    await removeVolume(array, spec.volumeId);
    for (const site of array.sites) assert.deepEqual(await site.copies(), [], site.id);
  }
});

test("a snapshot that was cut short before a failover is taken after it", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const snapshotId = systemIds.uuid();
  const begun = { snapshotId, volumeId, sizeGiB: 1, sizeBytes: GIB, replicated: true, state: "creating" } as const;
  await array.own.writeSnapshot(begun);
  await failover(array, null, call());
  await ensureSnapshot(array, snapshotId, volumeId, call());
  assert.equal((await snapshotSite(array, snapshotId)).id, "second");
  await failover(array, "default", call());
  assert.equal((await snapshotSite(array, snapshotId)).id, "default");
});

test("a removal that was cut short after the record had gone is finished by its repeat", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const snapshotId = systemIds.uuid();
  await ensureSnapshot(array, snapshotId, volumeId, call());
  for (const site of array.sites) {
    await rm(join(site.volumeDir(volumeId), "record.json"));
    await rm(join(site.snapshotDir(snapshotId), "record.json"));
  }
  await removeVolume(array, volumeId);
  await removeSnapshot(array, snapshotId);
  for (const { directory } of array.sites) {
    assert.deepEqual(await readdir(join(directory, "volumes")), []);
    assert.deepEqual(await readdir(join(directory, "snapshots")), []);
  }
});
