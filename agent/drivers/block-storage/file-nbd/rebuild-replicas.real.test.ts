import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { minutes, sleep, systemClock } from "../../../../kernel/clock/clock.ts";
import { StorageArray } from "./array.ts";
import { settleReplicas } from "./facts.ts";
import { failover } from "./failover.ts";
import { ReplicaRebuilds } from "./rebuild-replicas.ts";
import { ensureExported, factsOf } from "./serving.ts";
import { call, clientOf, newSpec, replicatedArray, takeAway } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";
import { ensureVolume } from "./volumes.ts";

const skip = (await whyNoStorage()) ?? false;
const LIMIT_MS = 60_000;
const data = Buffer.alloc(4096, "acknowledged");

interface Lab {
  array: StorageArray;
  /** As whoever is asked for facts does. */
  look(): Promise<void>;
  states(): Promise<(string | null)[]>;
  until(done: (states: (string | null)[]) => boolean): Promise<void>;
  pass(ms: number): void;
}

/** With served volumes, whose second copies have died. */
async function staleVolumes(t: TestContext, count: number): Promise<Lab> {
  let later = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + later };
  const { options } = await replicatedArray(t);
  const array = await StorageArray.prepare({ ...options, clock });
  const rebuilds = new ReplicaRebuilds(array);
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const { volumeId, ...spec } = newSpec();
    await ensureVolume(array, { volumeId, ...spec }, call());
    await ensureExported(array, await array.required(volumeId), call().signal);
    ids.push(volumeId);
  }
  await array.killAllDaemons(second(array));
  const states = async () => {
    await settleReplicas(array, call().signal);
    const facts = ids.map(async (id) => (await factsOf(array, await array.required(id))).replica);
    return Promise.all(facts);
  };
  return {
    array,
    async look() {
      await settleReplicas(array, call().signal);
      await rebuilds.look(call().signal);
    },
    states,
    async until(done) {
      const limit = systemClock.now() + LIMIT_MS;
      for (let now = await states(); !done(now); now = await states()) {
        assert.ok(systemClock.now() < limit, `still ${now}`);
        await sleep(systemClock, 20);
      }
    },
    pass(ms) {
      later += ms;
    },
  };
}

const allInSync = (states: (string | null)[]) => states.every((state) => state === "inSync");

const second = (array: StorageArray) => array.targets[0] ?? array.own;

test("second copies that have become stale are made anew, two at once, and hold all that was written", {
  skip,
}, async (t) => {
  const lab = await staleVolumes(t, 3);
  const [volume] = await lab.array.volumes();
  const client = clientOf(t, lab.array, volume?.main.record.volumeId ?? "");
  await client.write(0, data);
  await lab.look();
  const begun = (await lab.array.volumes()).map(({ replica }) => replica?.record.daemon?.generation);
  assert.deepEqual(begun.toSorted(), [1, 2, 2]);
  await lab.until((states) => !states.includes("syncing"));
  await lab.look();
  await lab.until(allInSync);
  assert.deepEqual(
    (await failover(lab.array, null, call())).volumes.map(({ ok }) => ok),
    [true, true, true],
  );
  assert.deepEqual(await client.read(0, data.length), data);
});

test("a second copy that cannot be made anew is tried less and less often, and at once after it was in sync", {
  skip,
}, async (t) => {
  const lab = await staleVolumes(t, 1);
  let tries = 0;
  const ensure = lab.array.ensureDaemon.bind(lab.array);
  lab.array.ensureDaemon = async (copy) => {
    if (copy.site !== second(lab.array)) return ensure(copy);
    tries += 1;
    throw new Error("this array does not obey");
  };
  for (const pause of [1, 2, 4, 8, 16, 32, 60, 60]) {
    await lab.look();
    const before = tries;
    await lab.look();
    lab.pass(minutes(pause) - 5_000);
    await lab.look();
    assert.equal(tries, before, `within ${pause} minutes`);
    lab.pass(6_000);
  }
  assert.equal(tries, 8);
  lab.array.ensureDaemon = ensure;
  await lab.look();
  await lab.until(allInSync);
  await lab.look();
  await lab.array.killAllDaemons(second(lab.array));
  await lab.look();
  await lab.until(allInSync);
});

test("nothing is made anew without room, without the array, and after a failover", { skip }, async (t) => {
  const lab = await staleVolumes(t, 1);
  const target = second(lab.array);
  const free = target.freeBytes.bind(target);
  target.freeBytes = async () => 1024 ** 2;
  await lab.look();
  assert.deepEqual(await lab.states(), ["stale"]);
  target.freeBytes = free;
  const back = await takeAway(target);
  await lab.look();
  await back();
  assert.deepEqual(await lab.states(), ["stale"]);
  await lab.array.changeBackend({ active: "second" });
  await lab.look();
  assert.deepEqual(await lab.states(), ["stale"]);
  await lab.array.changeBackend({ active: null });
  await lab.look();
  await lab.until(allInSync);
});

test("a second copy that its array has lost is made anew", { skip }, async (t) => {
  const lab = await staleVolumes(t, 1);
  const [volume] = await lab.array.volumes();
  await second(lab.array).removeVolume(volume?.main.record.volumeId ?? "");
  await lab.look();
  await lab.until(allInSync);
  assert.deepEqual(
    (await failover(lab.array, null, call())).volumes.map(({ ok }) => ok),
    [true],
  );
});
