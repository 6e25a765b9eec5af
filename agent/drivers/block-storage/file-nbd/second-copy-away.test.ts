import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { test } from "node:test";
import type { StorageArray } from "./array.ts";
import { GIB, sizeOf } from "./disk-files.ts";
import { settleReplicas } from "./facts.ts";
import { failover } from "./failover.ts";
import { ensureExported, ensureSize, factsOf } from "./serving.ts";
import { call, newSpec, replicatedArray, takeAway } from "./testing/replicated-array.ts";
import { ensureVolume } from "./volumes.ts";

const second = (array: StorageArray) => array.targets[0] ?? array.own;

test("an idle volume is neither served nor extended while its equal second copy is away", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const back = await takeAway(second(array));
  const away = await array.required(volumeId);
  await assert.rejects(ensureExported(array, away, call().signal), { code: "storage.array_unreachable" });
  await assert.rejects(ensureSize(array, away, 2, call().signal), { code: "storage.array_unreachable" });
  const { record } = (await array.required(volumeId)).main;
  assert.deepEqual([record.exported, record.sizeGiB], [false, 1]);
  await back();
  await ensureSize(array, await array.required(volumeId), 2, call().signal);
  for (const site of array.sites) assert.equal(await sizeOf(site.disk(volumeId)), 2 * GIB, site.id);
  assert.equal((await factsOf(array, await array.required(volumeId))).replica, "inSync");
});

test("an idle second copy that missed what was written is told so when it is seen: it may be all that is seen later", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const { main } = await ensureVolume(array, { volumeId, ...spec }, call());
  // Written to while the replication target was out of the configuration.
  await array.update(main, { generation: 2, secondMayBeClean: false });
  await settleReplicas(array, call().signal);
  await takeAway(array.own);
  const { volumes } = await failover(array, null, call());
  assert.deepEqual(
    volumes.map(({ fault }) => fault?.code),
    ["storage.replica_stale"],
  );
});

test("an array that lost its second copy, and is there, keeps nobody from the volume", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  await second(array).removeVolume(volumeId);
  await ensureSize(array, await array.required(volumeId), 2, call().signal);
  assert.equal(await sizeOf(array.own.disk(volumeId)), 2 * GIB);
});

test("of an old record nobody knows whether the second copy is equal: what is away may be", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const { main } = await ensureVolume(array, { volumeId, ...spec }, call());
  const { secondMayBeClean: _, ...old } = main.record;
  await array.own.writeCopy(old);
  await takeAway(second(array));
  const exporting = ensureExported(array, await array.required(volumeId), call().signal);
  await assert.rejects(exporting, { code: "storage.array_unreachable" });
});

test("the repeat of an extension that was cut short between the two copies extends the second one too", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const { main, replica } = await ensureVolume(array, { volumeId, ...spec }, call());
  for (const copy of [main, replica]) if (copy) await array.update(copy, { sizeGiB: 2 });
  await truncate(main.site.disk(volumeId), 2 * GIB);
  await ensureSize(array, await array.required(volumeId), 2, call().signal);
  assert.equal(await sizeOf(second(array).disk(volumeId)), 2 * GIB);
});

test("a volume is not extended at the old place while a failover has not come to it yet", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const volume = await ensureVolume(array, { volumeId, ...spec }, call());
  await array.changeBackend({ active: "second" });
  await assert.rejects(ensureSize(array, volume, 2, call().signal), { code: "storage.replica_stale" });
  assert.equal(await sizeOf(array.own.disk(volumeId)), GIB);
});

test("the repeat of a failback that was cut short in an idle volume's change of roles leaves both copies equal", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const { main, replica } = await ensureVolume(array, { volumeId, ...spec }, call());
  assert.ok(replica);
  await array.changeBackend({ active: "second", failingBack: true });
  // The first one's record is written, the second one's is not.
  await array.update(replica, { role: "main", trust: { kind: "stale" }, generation: 2 });
  await array.update(main, { generation: 3 });
  const { volumes } = await failover(array, "default", call());
  assert.deepEqual([volumes.map(({ ok }) => ok), (await array.required(volumeId)).main.site.id], [[true], "default"]);
  assert.equal((await factsOf(array, await array.required(volumeId))).replica, "inSync");
});
