import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import type { Call } from "../../../runtime/call.ts";
import type { SimMode } from "../../../sim/sim-works.ts";
import { testSpecs, testVolume } from "../../../sim/testing/test-specs.ts";
import type { ComputeDriver, GuestEvent } from "../driver.ts";
import { createSimComputeDriver } from "./sim-compute-driver.ts";
import { SimWorld } from "./sim-world.ts";

function setUp(mode: SimMode = "manual") {
  const clock = new ManualClock();
  const world = new SimWorld({ clock, mode });
  const [a, b] = ["a", "b"].map((name) => {
    world.addHost({ name, sharedStorage: "store" });
    return createSimComputeDriver({ world, host: name });
  }) as [ComputeDriver, ComputeDriver];
  return { clock, world, a, b, specs: testSpecs() };
}

function call(signal = new AbortController().signal): Call & { reported: number[] } {
  const reported: number[] = [];
  return {
    key: "k",
    epoch: 1,
    deadline: new Date(0),
    signal,
    log: silentLogger,
    progress: (percent) => void reported.push(percent),
    image: async () => "/nowhere",
    reported,
  };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const options = { mode: "mirror", bandwidthMiBps: 0, downtimeMs: 500, autoConverge: false, postCopy: false } as const;

async function startMigration(t: ReturnType<typeof setUp>, change = {}) {
  const spec = t.specs.next();
  await t.a.ensure(spec, "running", call());
  const target = await t.b.liveMigration?.prepareIncoming(spec, "mirror", call());
  assert.ok(target && t.a.liveMigration);
  const moving = call();
  const done = t.a.liveMigration.migrateOut(spec.serverId, { target, ...options, ...change }, moving);
  done.catch(() => {});
  await settle();
  return { spec, done, moving };
}

test("manual mode moves only when told to", async () => {
  const t = setUp();
  const { spec, done, moving } = await startMigration(t);
  t.clock.advance(60_000);
  assert.deepEqual(moving.reported, [0]);
  t.world.step();
  t.world.step();
  assert.deepEqual(moving.reported, [0, 25, 50]);
  assert.equal((await t.a.inspect(spec.serverId))?.power, "running");
  t.world.drain();
  await done;
  assert.equal((await t.a.inspect(spec.serverId))?.power, "moved");
  assert.equal((await t.b.inspect(spec.serverId))?.power, "running");
  assert.equal(t.clock.pendingTimers, 0);
});

test("auto mode moves with the clock; a bandwidth limit takes its time", async () => {
  const t = setUp("auto");
  const { done, moving } = await startMigration(t, { bandwidthMiBps: 64 });
  t.clock.advance(1900);
  assert.ok((moving.reported.at(-1) ?? 0) > 80 && (moving.reported.at(-1) ?? 0) < 100);
  t.clock.advance(400);
  await done;
  assert.equal(t.clock.pendingTimers, 0);
});

test("a guest that dirties memory moves only by force", async () => {
  const t = setUp();
  const spec = t.specs.next();
  t.world.setDirtiesMemory(spec.serverId, true);
  await t.a.ensure(spec, "running", call());
  const target = await t.b.liveMigration?.prepareIncoming(spec, "mirror", call());
  assert.ok(target && t.a.liveMigration);
  const done = t.a.liveMigration.migrateOut(spec.serverId, { target, ...options }, call());
  await settle();
  for (let i = 0; i < 20; i += 1) t.world.step();
  t.world.drain();
  assert.equal((await t.a.inspect(spec.serverId))?.power, "running");
  await t.a.liveMigration.forceCompleteMigration(spec.serverId, call());
  await done;
});

test("ticks count running time only, and travel with the guest", async () => {
  const t = setUp();
  const { spec, done } = await startMigration(t);
  t.clock.advance(1000);
  t.world.drain();
  await done;
  await t.b.ensurePaused(spec.serverId, call());
  t.clock.advance(5000);
  await t.b.ensureUnpaused(spec.serverId, call());
  t.clock.advance(500);
  assert.equal(await t.b.consoleLog(spec.serverId, 2), "tick 14\ntick 15\n");
  assert.equal((await t.b.consoleLog(spec.serverId, null)).match(/tick/g)?.length, 15);
});

test("the death of either end fails the migration", async () => {
  for (const end of ["a", "b"] as const) {
    const t = setUp();
    const { spec, done } = await startMigration(t);
    if (end === "a") t.world.crashGuest("a", spec.serverId);
    else await t.b.ensureAbsent(spec.serverId, { disks: true }, call());
    await assert.rejects(done, (error) => error instanceof CloudError && error.code === "compute.migration_failed");
    assert.equal(t.world.works.active, 0);
  }
});

test("faults hit as often as asked, on their host and verb only", async () => {
  const t = setUp();
  const spec = t.specs.next();
  const error = new CloudError("unavailable", "t.broken", "broken");
  t.world.faults.add({ host: "a", verb: "compute.ensure", times: 2, fault: { type: "fail", error } });
  await t.b.ensure(t.specs.next(), "stopped", call());
  for (let i = 0; i < 2; i += 1) await assert.rejects(t.a.ensure(spec, "stopped", call()), error);
  assert.equal((await t.a.ensure(spec, "stopped", call())).power, "stopped");
});

test("a lost reply has acted; a late one comes by the clock; a hanging one waits for its release", async () => {
  const t = setUp();
  const spec = t.specs.next();
  t.world.faults.add({ fault: { type: "loseReply" } });
  await assert.rejects(t.a.ensure(spec, "running", call()));
  assert.equal((await t.a.inspect(spec.serverId))?.power, "running");

  t.world.faults.add({ fault: { type: "late", delayMs: 1000 } });
  let late = false;
  const answer = t.a.ensurePaused(spec.serverId, call()).then(() => {
    late = true;
  });
  await settle();
  assert.equal(late, false);
  t.clock.advance(1000);
  await answer;

  const hang = t.world.faults.add({ verb: "compute.ensureUnpaused", times: 2, fault: { type: "hang" } });
  const abort = new AbortController();
  const aborted = t.a.ensureUnpaused(spec.serverId, call(abort.signal));
  const released = t.a.ensureUnpaused(spec.serverId, call());
  await settle();
  assert.equal((await t.a.inspect(spec.serverId))?.power, "paused");
  abort.abort(new Error("given up"));
  await assert.rejects(aborted, /given up/);
  hang.release();
  assert.equal((await released).power, "running");
  assert.equal(hang.hits, 2);
});

test("a closed driver acts no more, whatever it was waiting for", async () => {
  const t = setUp();
  const spec = t.specs.next();
  const hang = t.world.faults.add({ fault: { type: "hang" } });
  const ensured = t.a.ensure(spec, "running", call());
  await settle();
  await t.a.close();
  hang.release();
  await assert.rejects(ensured);
  assert.deepEqual(t.world.leftovers().guests, []);
});

test("a guest that runs twice and a disk removed under its guest are told", async () => {
  const t = setUp();
  const spec = t.specs.next({ storage: "shared" });
  await t.a.ensure(spec, "running", call());
  await t.b.ensure(spec, "running", call());
  assert.match(t.world.violations[0] ?? "", /runs on a and on b/);
  await t.a.ensureAbsent(spec.serverId, { disks: true, evenIfOwnedElsewhere: true }, call());
  assert.match(t.world.violations[1] ?? "", /removed the shared disk/);
});

test("two guests that could write to one volume are told, and no two of which one only reads", async () => {
  const t = setUp();
  const shared = testVolume("00000000-0000-4000-8000-000000000001");
  const read = testVolume("00000000-0000-4000-8000-000000000002", { device: "/dev/vdc" });
  const first = { ...t.specs.next(), volumes: [shared, read] };
  const second = { ...t.specs.next(), volumes: [shared, { ...read, readOnly: true }] };
  await t.a.ensure(first, "running", call());
  await t.b.ensure(second, "stopped", call());
  assert.deepEqual(t.world.violations, []);
  await t.b.ensure(second, "running", call());
  const [violation, ...others] = t.world.violations;
  assert.deepEqual(others, []);
  const ends = `${first.serverId} on a and by ${second.serverId} on b`;
  assert.equal(violation, `volume ${shared.volumeId} is written by ${ends}`);
  assert.equal(t.world.leftovers().volumes.length, 4);
});

test("a volume moves with its guest, and no two write to it on the way", async () => {
  const t = setUp();
  const volume = testVolume("00000000-0000-4000-8000-000000000001");
  const spec = { ...t.specs.next(), volumes: [volume] };
  await t.a.ensure(spec, "running", call());
  const target = await t.b.liveMigration?.prepareIncoming(spec, "mirror", call());
  assert.ok(target);
  const moved = t.a.liveMigration?.migrateOut(spec.serverId, { target, ...options }, call());
  await settle();
  t.world.drain();
  await moved;
  assert.deepEqual(await t.b.liveMigration?.finishIncoming(spec, { paused: false }, call()), {
    ...(await t.b.inspect(spec.serverId)),
    volumeIds: [volume.volumeId],
  });
  await t.a.ensureAbsent(spec.serverId, { disks: true }, call());
  assert.deepEqual(t.world.leftovers().volumes, [{ host: "b", serverId: spec.serverId, volumeId: volume.volumeId }]);
  assert.deepEqual(t.world.violations, []);
});

test("what happens by itself is told to the host's driver", async () => {
  const t = setUp();
  const spec = t.specs.next();
  const events: GuestEvent[] = [];
  const end = t.a.events?.subscribe((event) => events.push(event));
  await t.a.ensure(spec, "running", call());
  t.world.crashGuest("a", spec.serverId);
  t.world.crashGuest("a", spec.serverId);
  await t.a.ensure(spec, "running", call());
  t.world.shutDownFromInside("a", spec.serverId);
  end?.();
  await t.a.ensure(spec, "running", call());
  t.world.crashGuest("a", spec.serverId);
  assert.deepEqual(
    events.map(({ kind, guest }) => [kind, guest.power]),
    [
      ["died", "crashed"],
      ["stopped", "stopped"],
    ],
  );
});
