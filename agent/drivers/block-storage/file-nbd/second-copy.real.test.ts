import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { StorageArray } from "./array.ts";
import { failover } from "./failover.ts";
import { ensureExported, ensureNotExported, ensureServing, factsOf } from "./serving.ts";
import { call, clientOf, newSpec, replicatedArray, takeAway } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";
import { ensureVolume } from "./volumes.ts";

const skip = (await whyNoStorage()) ?? false;
const data = Buffer.alloc(4096, "acknowledged");

/** Whether each volume came along. */
const outcomes = async (array: StorageArray, target: string | null) =>
  (await failover(array, target, call())).volumes.map(({ ok }) => ok);

const replicaOf = async (array: StorageArray, volumeId: string) =>
  (await factsOf(array, await array.required(volumeId))).replica;

async function exported(array: StorageArray): Promise<string> {
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  await ensureExported(array, await array.required(volumeId), call().signal);
  return volumeId;
}

const second = (array: StorageArray) => array.targets[0] ?? array.own;

test("a volume in use is served on without a second copy that goes away, which nobody believes when it is back", {
  skip,
}, async (t) => {
  const array = await replicatedArray(t);
  const volumeId = await exported(array);
  const back = await takeAway(second(array));
  await array.killDaemons(array.own, volumeId);
  await ensureServing(array, await array.required(volumeId));
  await clientOf(t, array, volumeId).write(0, data);
  await back();
  assert.equal(await replicaOf(array, volumeId), "stale");
  await array.killDaemons(array.own, volumeId);
  assert.deepEqual(await outcomes(array, null), [false]);
});

test("a volume written to without its replication target in the configuration has no equal copy there afterwards", {
  skip,
}, async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const alone = await StorageArray.prepare({ ...array.options, replicationTargets: [] });
  await ensureExported(alone, await alone.required(volumeId), call().signal);
  const client = clientOf(t, array, volumeId);
  await client.write(0, data);
  await ensureNotExported(alone, await alone.required(volumeId), call().signal);
  assert.equal(await replicaOf(array, volumeId), "stale");
  await ensureExported(array, await array.required(volumeId), call().signal);
  await ensureNotExported(array, await array.required(volumeId), call().signal);
  assert.equal(await replicaOf(array, volumeId), "inSync");
  await ensureExported(array, await array.required(volumeId), call().signal);
  assert.deepEqual(await outcomes(array, null), [true]);
  assert.deepEqual(await client.read(0, data.length), data);
});

for (const when of ["there", "away"] as const) {
  test(`what is written after a failback that was cut short is not lost by the next one: the old array was ${when}`, {
    skip,
  }, async (t) => {
    const array = await replicatedArray(t);
    const volumeId = await exported(array);
    assert.deepEqual(await outcomes(array, null), [true]);
    const update = array.update.bind(array);
    array.update = async (copy, change) => {
      if (copy.site === array.own && change.role === "main") throw new Error("this member is killed here");
      await update(copy, change);
    };
    assert.deepEqual(await outcomes(array, "default"), [false]);
    array.update = update;
    assert.equal((await array.own.copy(volumeId))?.trust.kind, "clean");
    const back = when === "away" ? await takeAway(array.own) : undefined;
    await array.changeBackend({ active: "second", failingBack: false }, second(array));
    assert.deepEqual(await outcomes(array, "second"), [true]);
    const client = clientOf(t, array, volumeId);
    await client.write(0, data);
    await back?.();
    assert.deepEqual(await outcomes(array, "default"), [true]);
    assert.deepEqual(await client.read(0, data.length), data);
  });
}

test("a mirror that was begun by somebody who died is seen equal before anybody writes through it", {
  skip,
}, async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const { main, replica } = await array.required(volumeId);
  assert.ok(replica);
  const talk = await array.ensureDaemon(main);
  const peer = await array.ensureDaemon(replica);
  await peer.ensureGuardedExport("second-copy", 1024 ** 3);
  // One that takes long to be ready.
  await talk.startMirror(peer.connection("second-copy"), "all");
  talk.close();
  peer.close();
  await ensureExported(array, await array.required(volumeId), call().signal);
  assert.equal((await second(array).copy(volumeId))?.trust.kind, "ready");
});

test("a failback goes on after its mirror has broken", { skip }, async (t) => {
  const array = await replicatedArray(t);
  const volumeId = await exported(array);
  assert.deepEqual(await outcomes(array, null), [true]);
  await array.changeBackend({ failingBack: true }, second(array));
  await ensureExported(array, await array.required(volumeId), call().signal);
  await ensureNotExported(array, await array.required(volumeId), call().signal);
  await ensureExported(array, await array.required(volumeId), call().signal);
  const client = clientOf(t, array, volumeId);
  await client.write(0, data);
  await array.killDaemons(array.own, volumeId);
  await client.write(4096, data);
  assert.deepEqual(await outcomes(array, "default"), [true]);
  assert.deepEqual(await client.read(4096, data.length), data);
  assert.equal((await array.required(volumeId)).main.site.id, "default");
});

test("a second copy that was complete, and nobody had looked, counts for a failover in the midst of a failback", {
  skip,
}, async (t) => {
  const array = await replicatedArray(t);
  const volumeId = await exported(array);
  const { replica } = await array.required(volumeId);
  assert.ok(replica);
  await array.update(replica, { trust: { kind: "stale" } });
  await array.changeBackend({ active: "second", failingBack: true });
  assert.deepEqual(await outcomes(array, "second"), [true]);
});

test("a second copy that took all is given up only for one that takes its place", { skip }, async (t) => {
  const array = await replicatedArray(t);
  const volumeId = await exported(array);
  const client = clientOf(t, array, volumeId);
  await client.write(0, data);
  await array.killDaemons(array.own, volumeId);
  // The first copy cannot be read any more.
  await rm(array.own.disk(volumeId));
  await ensureNotExported(array, await array.required(volumeId), call().signal);
  assert.equal(await replicaOf(array, volumeId), "inSync");
  assert.deepEqual(await outcomes(array, null), [true]);
  await ensureExported(array, await array.required(volumeId), call().signal);
  assert.deepEqual(await client.read(0, data.length), data);
});
