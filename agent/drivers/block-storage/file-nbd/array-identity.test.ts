import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { StorageArray } from "./array.ts";
import { expectedIdentity } from "./array-identity.ts";
import { createFileNbdDriver } from "./driver.ts";
import { failover } from "./failover.ts";
import { call, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { ensureVolume, removeVolume } from "./volumes.ts";

const UNREACHABLE = { code: "storage.array_unreachable" };

test("an empty folder in an array's place is not the array, however often the agent starts; the disk that comes back is", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  const { directory } = array.own;
  await rename(directory, `${directory}.disk`);
  await mkdir(directory);
  const begun = await StorageArray.prepare(array.options);
  for (const each of [array, begun]) {
    await assert.rejects(removeVolume(each, spec.volumeId), UNREACHABLE);
    await assert.rejects(ensureVolume(each, { ...newSpec(), replicated: false }, call()), UNREACHABLE);
  }
  for (const each of [array, begun]) {
    await failover(each, null, call());
    await assert.rejects(failover(each, "default", call()), { code: "storage.target_unreachable" });
  }
  assert.deepEqual(await readdir(join(directory)), []);
  await rm(directory, { recursive: true });
  await rename(`${directory}.disk`, directory);
  await failover(begun, "default", call());
  assert.equal((await begun.required(spec.volumeId)).main.site, begun.own);
});

test("another array in an array's place is not the array", async (t) => {
  const [array, other] = [await replicatedArray(t), await replicatedArray(t)];
  await rename(array.own.directory, `${array.own.directory}.disk`);
  await rename(other.own.directory, array.own.directory);
  await assert.rejects(array.own.requireReachable(), UNREACHABLE);
  assert.equal(await (await StorageArray.prepare(array.options)).own.isReachable(), false);
});

test("a new disk takes an array's place when the host is told to forget the old one", async (t) => {
  const array = await replicatedArray(t);
  await rm(array.own.directory, { recursive: true });
  await rm(join(array.options.stateDir, `${array.own.tag}.json`));
  const begun = await StorageArray.prepare(array.options);
  const { main } = await ensureVolume(begun, newSpec(), call());
  assert.equal(main.record.state, "ready");
});

test("second copies are made anew on a target's new disk", async (t) => {
  const array = await replicatedArray(t);
  const volumes = [newSpec(), newSpec()];
  for (const spec of volumes) await ensureVolume(array, spec, call());
  const second = array.targets[0] ?? array.own;
  await rm(second.directory, { recursive: true });
  await rm(join(array.options.stateDir, `${second.tag}.json`));
  const driver = await createFileNbdDriver(array.options);
  try {
    const ids = volumes.map(({ volumeId }) => volumeId);
    assert.equal((await driver.inspect(ids[0] ?? ""))?.replica, "stale");
    for (const id of ids) assert.equal((await driver.ensureNotExported(id, call())).replica, "inSync");
    const failedOver = await driver.replication?.failover(null, call());
    assert.deepEqual(
      new Map(failedOver?.volumes.map(({ volumeId, ok }) => [volumeId, ok])),
      new Map(ids.map((id) => [id, true])),
    );
  } finally {
    await driver.close();
  }
});

test("members that make an array at once know the same one, and so does who comes later", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, "array", "array.json");
  const look = (host: string) => expectedIdentity(file, join(dir, host, "memory.json"), systemIds);
  const made = await Promise.all(["a", "b", "c", "d"].map(look));
  assert.equal(new Set([...made, await look("late"), await look("a")]).size, 1);
  assert.deepEqual(await readdir(join(dir, "array")), ["array.json"]);
});
