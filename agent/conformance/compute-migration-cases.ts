import assert from "node:assert/strict";
import type { ComputeDriver, LiveMigration } from "../drivers/compute/driver.ts";
import type { DiskStorage, GuestSpec, MigrationMode } from "../protocol/compute.ts";
import type { ComputeCase } from "./compute-case.ts";
import { type CaseContext, type ConformanceHost, rejectsWith } from "./compute-environment.ts";

const QUICK = { bandwidthMiBps: 0, downtimeMs: 500, autoConverge: true, postCopy: false };
/** Slow enough for a case to act while it runs. */
const SLOW = { bandwidthMiBps: 1, downtimeMs: 50, autoConverge: false, postCopy: false };

const storageOf: Record<MigrationMode, DiskStorage> = { shared: "shared", mirror: "local" };

function live(driver: ComputeDriver): LiveMigration {
  assert.ok(driver.liveMigration);
  return driver.liveMigration;
}

/** A guest that runs on A, ticking, and a destination on B that waits for it. */
async function prepared(c: CaseContext, mode: MigrationMode) {
  const spec = await c.running(c.a, { storage: storageOf[mode] });
  const tick = await c.tickAbove(c.a, spec, 0);
  const sourceFacts = await c.a.driver.probe();
  const { sizeBytes } = await live(c.a.driver).measureDisk(spec.serverId, c.call());
  const diskBytes = mode === "mirror" ? sizeBytes : 0;
  await live(c.b.driver).checkDestination(spec, { mode, sourceFacts, diskBytes }, c.call());
  const target = await live(c.b.driver).prepareIncoming(spec, mode, c.call());
  await c.expectPower(c.b, spec, "incoming");
  return { spec, tick, target, mode };
}

/** Starts a slow migration and waits until it has made some progress. */
async function underWay(c: CaseContext, mode: MigrationMode) {
  const p = await prepared(c, mode);
  const call = c.call("slow");
  const done = live(c.a.driver).migrateOut(p.spec.serverId, { target: p.target, mode, ...SLOW }, call);
  done.catch(() => {});
  await c.until("the migration's first progress", async () => call.reported.length > 0);
  return { ...p, done };
}

async function arrived(c: CaseContext, spec: GuestSpec, source: ConformanceHost, mode: MigrationMode): Promise<void> {
  await c.until("the guest to run at its destination", async () => {
    const facts = await live(c.b.driver).finishIncoming(spec, { paused: false }, c.call());
    return facts.power === "running";
  });
  const left = await c.powerOf(source, spec);
  assert.ok(left === undefined || left === "moved" || left === "stopped", `the source says ${left}`);
  await source.driver.ensureAbsent(spec.serverId, { disks: mode === "mirror" }, c.call());
  await c.expectPower(c.b, spec, "running");
}

/** The first line may have begun on the other host. */
function assertNoTickMissing(log: string): void {
  const ticks = [...log.matchAll(/^tick (\d+)/gm)].map((match) => Number(match[1])).slice(1, -1);
  for (const [i, tick] of ticks.entries()) {
    if (i > 0) assert.equal(tick, (ticks[i - 1] ?? 0) + 1, "ticks follow each other");
  }
}

const coldCases: readonly ComputeCase[] = (["local", "shared"] as const).map((storage) => ({
  name: `cold migration with a ${storage} disk keeps its content`,
  ability: "coldMigration",
  storage,
  async run(c) {
    const spec = await c.running(c.a, { storage });
    const tick = await c.tickAbove(c.a, spec, 10);
    const source = c.a.driver.coldMigration;
    const destination = c.b.driver.coldMigration;
    assert.ok(source && destination);
    await rejectsWith(source.serveDisk(spec.serverId, c.call()), "conflict", "compute.guest_running");
    await c.a.driver.ensureStopped(spec.serverId, { graceMs: 5000 }, c.call());
    const uri = await source.serveDisk(spec.serverId, c.call());
    assert.equal(await source.serveDisk(spec.serverId, c.call()), uri);
    assert.equal(uri === null, storage === "shared");
    for (let i = 0; i < 2; i += 1) await destination.receiveDisk(spec, uri, c.call());
    for (let i = 0; i < 2; i += 1) await source.ensureDiskNotServed(spec.serverId, c.call());
    await c.a.driver.ensureAbsent(spec.serverId, { disks: storage === "local" }, c.call());
    assert.equal((await c.b.driver.ensure(spec, "running", c.call())).power, "running");
    assert.ok((await c.tickAbove(c.b, spec, tick - 5)) > 0);
  },
}));

const liveCases: readonly ComputeCase[] = (["shared", "mirror"] as const).flatMap((mode): ComputeCase[] => [
  {
    name: `live migration (${mode}) moves a running guest without losing a tick`,
    ability: "liveMigration",
    storage: storageOf[mode],
    async run(c) {
      const { spec, tick, target } = await prepared(c, mode);
      assert.deepEqual(await live(c.b.driver).prepareIncoming(spec, mode, c.call()), target);
      const options = { target, mode, ...QUICK };
      const first = await live(c.a.driver).migrateOut(spec.serverId, options, c.call("out"));
      const repeated = await live(c.a.driver).migrateOut(spec.serverId, options, c.call("out"));
      assert.deepEqual(repeated, first, "a repeat after a lost reply gets the same answer");
      await arrived(c, spec, c.a, mode);
      const later = await c.tickAbove(c.b, spec, tick);
      await c.tickAbove(c.b, spec, later + 3);
      assertNoTickMissing(await c.b.driver.consoleLog(spec.serverId, null));
    },
  },
  {
    name: `live migration (${mode}) aborted leaves the guest at its source`,
    ability: "liveMigration",
    storage: storageOf[mode],
    async run(c) {
      const { spec, tick, done } = await underWay(c, mode);
      for (let i = 0; i < 2; i += 1) await live(c.a.driver).abortMigration(spec.serverId, c.call());
      await rejectsWith(done, "conflict", "compute.migration_aborted");
      await c.expectPower(c.a, spec, "running");
      await c.tickAbove(c.a, spec, tick);
      for (let i = 0; i < 2; i += 1) await live(c.b.driver).abandonIncoming(spec.serverId, c.call());
      assert.equal(await c.powerOf(c.b, spec), undefined);
      const target = await live(c.b.driver).prepareIncoming(spec, mode, c.call());
      await live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...QUICK }, c.call());
      await arrived(c, spec, c.a, mode);
    },
  },
]);

const otherLiveCases: readonly ComputeCase[] = [
  {
    name: "live migration: a repeat joins, force-complete ends it for all",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, target, mode, done } = await underWay(c, "mirror");
      const joined = live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...SLOW }, c.call("slow"));
      await live(c.a.driver).forceCompleteMigration(spec.serverId, c.call());
      assert.deepEqual(await joined, await done);
      await arrived(c, spec, c.a, mode);
    },
  },
  {
    name: "live migration: it outlives the agent, and a new instance joins it",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, target, mode } = await underWay(c, "mirror");
      await c.a.restart();
      await c.b.restart();
      const call = c.call("slow");
      const joined = live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...SLOW }, call);
      joined.catch(() => {});
      await c.until("progress after the restart", async () => call.reported.length > 0);
      await live(c.a.driver).abortMigration(spec.serverId, c.call());
      await rejectsWith(joined, "conflict", "compute.migration_aborted");
      await c.expectPower(c.a, spec, "running");
      await live(c.b.driver).abandonIncoming(spec.serverId, c.call());
    },
  },
  {
    name: "live migration: an abort that comes too late finds that the guest has moved",
    ability: "liveMigration",
    storage: "shared",
    async run(c) {
      const { spec } = await underWay(c, "shared");
      await c.a.restart();
      await live(c.a.driver).forceCompleteMigration(spec.serverId, c.call());
      await c.until("the guest to arrive", async () => (await c.powerOf(c.b, spec)) !== "incoming");
      await c.until("the source to let go", async () => (await c.powerOf(c.a, spec)) === "moved");
      await live(c.a.driver).abortMigration(spec.serverId, c.call());
      await c.env.crash(c.a.name, spec.serverId);
      await c.expectPower(c.a, spec, "moved");
      await rejectsWith(live(c.b.driver).abandonIncoming(spec.serverId, c.call()), "conflict", "compute.guest_running");
      await arrived(c, spec, c.a, "shared");
    },
  },
  {
    name: "live migration: a paused guest stays paused",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, target, mode } = await prepared(c, "mirror");
      await c.a.driver.ensurePaused(spec.serverId, c.call());
      await live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...QUICK }, c.call());
      await c.until("the guest to be paused at its destination", async () => {
        return (await live(c.b.driver).finishIncoming(spec, { paused: true }, c.call())).power === "paused";
      });
      await c.expectPower(c.b, spec, "paused");
    },
  },
  {
    name: "live migration: what runs is not abandoned",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, target, mode } = await prepared(c, "mirror");
      await live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...QUICK }, c.call());
      await arrived(c, spec, c.a, mode);
      await rejectsWith(live(c.b.driver).abandonIncoming(spec.serverId, c.call()), "conflict", "compute.guest_running");
      await c.expectPower(c.b, spec, "running");
      await live(c.b.driver).abandonIncoming(c.spec().serverId, c.call());
    },
  },
  {
    name: "live migration: a guest that dies right after the hand-over has arrived all the same",
    ability: "liveMigration",
    storage: "shared",
    async run(c) {
      const { spec, target, mode } = await prepared(c, "shared");
      await live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...QUICK }, c.call());
      await c.env.crash(c.b.name, spec.serverId);
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await live(c.b.driver).finishIncoming(spec, { paused: false }, c.call())).power, "crashed");
      }
      await rejectsWith(live(c.b.driver).abandonIncoming(spec.serverId, c.call()), "conflict", "compute.guest_running");
      await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      assert.equal((await c.b.driver.ensure(spec, "running", c.call())).power, "running");
    },
  },
  {
    name: "live migration: a destination that is abandoned under way leaves the guest at its source",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, tick, done } = await underWay(c, "mirror");
      await live(c.b.driver).abandonIncoming(spec.serverId, c.call());
      await rejectsWith(done, "conflict", "compute.migration_failed");
      await c.expectPower(c.a, spec, "running");
      await c.tickAbove(c.a, spec, tick);
      assert.equal(await c.powerOf(c.b, spec), undefined);
    },
  },
  {
    name: "live migration: abort without a migration is fine, a dead target fails",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const { spec, target, mode } = await prepared(c, "mirror");
      await live(c.a.driver).abortMigration(spec.serverId, c.call());
      await live(c.b.driver).abandonIncoming(spec.serverId, c.call());
      await rejectsWith(
        live(c.a.driver).migrateOut(spec.serverId, { target, mode, ...QUICK }, c.call()),
        "conflict",
        "compute.migration_failed",
      );
      await c.expectPower(c.a, spec, "running");
    },
  },
  {
    name: "live migration: a disk takes what its guest has written, and needs as much room",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const spec = await c.running(c.a, { storage: "local" });
      const measure = () => live(c.a.driver).measureDisk(spec.serverId, c.call());
      const { sizeBytes, allocatedBytes } = await measure();
      assert.equal(sizeBytes, (spec.rootDisk?.sizeGiB ?? 0) * 1024 ** 3);
      assert.ok(allocatedBytes < sizeBytes);
      const sourceFacts = await c.a.driver.probe();
      const check = (diskBytes: number) =>
        live(c.b.driver).checkDestination(spec, { mode: "mirror", sourceFacts, diskBytes }, c.call());
      await check(allocatedBytes);
      await rejectsWith(check(2 ** 60), "conflict", "compute.migration_refused");
    },
  },
  {
    name: "live migration: the mode must fit the disk",
    ability: "liveMigration",
    storage: "local",
    async run(c) {
      const spec = await c.running(c.a, { storage: "local" });
      const sourceFacts = await c.a.driver.probe();
      const options = { mode: "shared", sourceFacts, diskBytes: 0 } as const;
      await rejectsWith(
        live(c.b.driver).checkDestination(spec, options, c.call()),
        "conflict",
        "compute.migration_refused",
      );
    },
  },
];

export const migrationCases: readonly ComputeCase[] = [...coldCases, ...liveCases, ...otherLiveCases];
