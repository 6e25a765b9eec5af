import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Qmp } from "../../../process/qmp.ts";
import type { Connection } from "../../../protocol/connection.ts";
import type { StorageArray } from "./array.ts";
import { abandonCopy, copyOut, finishCopy, receive } from "./copy-out.ts";
import { backendFacts } from "./facts.ts";
import { serveAgain } from "./serve-again.ts";
import { ensureExported, factsOf } from "./serving.ts";
import { call, clientOf, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";
import { ensureVolume } from "./volumes.ts";

const skip = (await whyNoStorage()) ?? false;
const data = Buffer.alloc(4096, "acknowledged");

async function newVolume(array: StorageArray): Promise<string> {
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec, replicated: false }, call());
  return volumeId;
}

const stateOf = async (array: StorageArray) => (await backendFacts(array, [], call().signal)).backendState;

const connectionOf = async (array: StorageArray, volumeId: string) =>
  (await factsOf(array, await array.required(volumeId))).connection;

test("a volume whose storage process lives, and was not brought to serve it, is served again", { skip }, async (t) => {
  const array = await replicatedArray(t);
  const volumeId = await newVolume(array);
  const { main } = await array.required(volumeId);
  await array.update(main, { exported: true });
  (await array.ensureDaemon(main)).close();
  assert.deepEqual([await connectionOf(array, volumeId), await stateOf(array)], [null, "down"]);
  await serveAgain(array, call().signal);
  assert.equal(await stateOf(array), "up");
  await clientOf(t, array, volumeId).write(0, data);
});

test("a volume that a failback left where it was is served there again", { skip }, async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  const { main, replica } = await array.required(spec.volumeId);
  assert.ok(replica);
  await array.update(replica, { role: "main", generation: 2, exported: true, trust: { kind: "stale" } });
  await array.update(main, { role: "replica", generation: 2 });
  await serveAgain(array, call().signal);
  assert.ok(await connectionOf(array, spec.volumeId));
  await clientOf(t, array, spec.volumeId).write(0, data);
});

/** A volume in use that is copied to a volume of another backend. */
async function copied(t: TestContext): Promise<{ array: StorageArray; volumeId: string; target: Connection }> {
  const [array, other] = [await replicatedArray(t), await replicatedArray(t)];
  const volumeId = await newVolume(array);
  await ensureExported(array, await array.required(volumeId), call().signal);
  const { target } = await receive(other, { volumeId, sizeGiB: 1, replicated: false }, call());
  await copyOut(array, await array.required(volumeId), target, call());
  return { array, volumeId, target };
}

/** As if the member were killed after so many records. */
async function cutAfter(array: StorageArray, writes: number, work: () => Promise<void>): Promise<boolean> {
  const update = array.update.bind(array);
  let left = writes;
  array.update = async (copy, change) => {
    left -= 1;
    if (left < 0) throw new Error("this member is killed here");
    await update(copy, change);
  };
  await work().catch(() => {});
  array.update = update;
  return left < 0;
}

test("a copy that is abandoned leaves its clients served, wherever the first try was cut short", {
  skip,
}, async (t) => {
  const { array, volumeId, target } = await copied(t);
  const client = clientOf(t, array, volumeId);
  let cut = true;
  for (let writes = 0; cut; writes += 1) {
    await copyOut(array, await array.required(volumeId), target, call());
    await finishCopy(array, await array.required(volumeId), { target, compare: false }, call());
    cut = await cutAfter(array, writes, async () => abandonCopy(array, await array.required(volumeId)));
    await abandonCopy(array, await array.required(volumeId));
    await client.write(writes * data.length, data);
    assert.ok(await connectionOf(array, volumeId), `after ${writes} records`);
  }
});

test("a move that cannot be finished leaves its clients served, wherever that was cut short", { skip }, async (t) => {
  const { array, volumeId, target } = await copied(t);
  const client = clientOf(t, array, volumeId);
  const finish = async () =>
    finishCopy(array, await array.required(volumeId), { target: { ...target }, compare: false }, call());
  let cut = true;
  for (let writes = 0; cut; writes += 1) {
    await copyOut(array, await array.required(volumeId), target, call());
    await array.killDaemons(array.own, volumeId);
    (await array.ensureDaemon((await array.required(volumeId)).main)).close();
    cut = await cutAfter(array, writes, finish);
    await finish().catch(() => {});
    await client.write(writes * data.length, data);
    assert.ok(await connectionOf(array, volumeId), `after ${writes} records`);
  }
});

test("a copy that was cut short before its job existed begins anew", { skip }, async (t) => {
  const [array, other] = [await replicatedArray(t), await replicatedArray(t)];
  const volumeId = await newVolume(array);
  await ensureExported(array, await array.required(volumeId), call().signal);
  const { target } = await receive(other, { volumeId, sizeGiB: 1, replicated: false }, call());
  const files = await array.daemonOf((await array.required(volumeId)).main);
  const qmp = await Qmp.open(files?.qmp ?? "", array.options.clock);
  await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "peer", size: 1024 ** 3 });
  qmp.close();
  await copyOut(array, await array.required(volumeId), target, call());
});
