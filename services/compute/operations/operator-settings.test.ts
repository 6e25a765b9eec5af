import assert from "node:assert/strict";
import { test } from "node:test";
import { SimTicker } from "../../../agent/drivers/compute/sim/sim-console.ts";
import type { ComputeVerb } from "../../../agent/protocol/compute.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { ComputeSettings } from "../settings.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";
import { SMALL } from "./testing/given.ts";

// What an operator sets must be felt: each test fails when its setting is not read, or read as another one.

const open = (settings: Partial<ComputeSettings> = {}) => Bench.open(openSqlite, settings);
const TICKS_PER_GIB = 1024 ** 3 / 4096;
const REFUSED = new CloudError("conflict", "compute.migration_refused", "No.");
const NO_ROOM = new CloudError("noCapacity", "test.no_room", "No room.");

/** Carries everything out, and returns what the next command of `verb` said. */
async function sent({ world }: Bench, verb: ComputeVerb): Promise<Record<string, unknown>> {
  const held = world.sim.faults.add({ verb, fault: { type: "hang" } });
  await world.workUntil(() => held.hits > 0);
  const commands = world.tools.store.read.tables<FleetTables>().selectFrom("commands");
  const { input } = await commands
    .select("input")
    .where("verb", "=", verb)
    .where("state", "=", "queued")
    .executeTakeFirstOrThrow();
  held.release();
  await world.toTheEnd();
  return JSON.parse(input);
}

for (const [retries, refusals, arrives] of [
  [0, 1, false],
  [1, 1, true],
  [1, 2, false],
  [-1, 1, true],
] as const) {
  const ends = arrives ? "arrives" : "fails";
  test(`with migrate_max_retries ${retries} a live migration refused ${refusals}x ${ends}`, async () => {
    const bench = await open({ migrateMaxRetries: retries });
    const { world, operations } = bench;
    const id = await world.given.server();
    const fault = { type: "fail", error: REFUSED } as const;
    const refusal = world.sim.faults.add({ verb: "compute.checkDestination", times: refusals, fault });
    const operation = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id));
    await world.toTheEnd();
    assert.equal(refusal.hits, refusals);
    if (!arrives) await bench.expectFault(operation, REFUSED.code);
    await expectCleanSlate(world, { serverId: id, host: arrives ? ["b", "c"] : "a", vm: "active" });
    await bench.close();
  });
}

test("disk_over_commit counts what a guest has written, else its whole disk must find room", async () => {
  const bench = await open();
  const { world, operations } = bench;
  const id = await world.given.server();
  const move = async (host: string, diskOverCommit: boolean) => {
    const options = await world.given.liveMigrate(id, { host, diskOverCommit });
    const operation = await world.given.start(operations.liveMigrate, options);
    await world.toTheEnd();
    return operation;
  };
  // One GiB is left for the server's two.
  const nearlyFull = new SimTicker(1999 * TICKS_PER_GIB);
  world.sim.host("b")?.disks.set("other", { serverId: "other", sizeGiB: 2000, imageId: "", ticker: nearlyFull });
  await bench.expectFault(await move("b", false), REFUSED.code);
  assert.equal((await world.operation(await move("b", true))).state, "done");
  assert.equal((await world.operation(await move("a", true))).state, "done");
  const disk = world.sim.host("a")?.disks.get(id) ?? assert.fail("no disk");
  world.sim.host("a")?.disks.set(id, { ...disk, ticker: new SimTicker(1.5 * TICKS_PER_GIB) });
  await bench.expectFault(await move("b", true), REFUSED.code);
  world.sim.host("b")?.disks.delete("other");
  await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
  await bench.close();
});

for (const [postCopy, autoConverge] of [
  [true, false],
  [false, true],
] as const) {
  test(`a source hears the bandwidth, and ${postCopy ? "post-copy" : "auto-converge"} is permitted`, async () => {
    const bench = await open({
      liveMigrationBandwidth: 7,
      liveMigrationDowntimeMs: 321,
      liveMigrationPermitPostCopy: postCopy,
      liveMigrationPermitAutoConverge: autoConverge,
    });
    const { world, operations } = bench;
    const id = await world.given.server();
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id));
    const command = await sent(bench, "compute.migrateOut");
    assert.equal(command.bandwidthMiBps, 7);
    assert.equal(command.downtimeMs, 321);
    assert.deepEqual([command.postCopy, command.autoConverge], [postCopy, autoConverge]);
    await bench.close();
  });
}

test("a guest gets shutdown_timeout to power off: for a cold migration, a reboot and a stop", async () => {
  const bench = await open({ shutdownTimeoutMs: 12_000, resizeConfirmWindowMs: 20_000 });
  const { world, operations } = bench;
  const id = await world.given.server();
  await world.given.start(operations.resize, await world.given.resize(id));
  assert.equal((await sent(bench, "compute.ensureStopped")).graceMs, 12_000);
  await world.given.start(operations.power.reboot, await world.given.power(id, "reboot", "soft"));
  assert.equal((await sent(bench, "compute.reboot")).graceMs, 12_000);
  await world.given.start(operations.power.stop, await world.given.power(id, "stop"));
  assert.equal((await sent(bench, "compute.ensureStopped")).graceMs, 12_000);
  await bench.close();
});

for (const cpuAllocationRatio of [1, 1.25]) {
  test(`with cpu_allocation_ratio ${cpuAllocationRatio} a host of 16 has ${16 * cpuAllocationRatio} to give`, async () => {
    const bench = await open({ cpuAllocationRatio });
    const { world, operations } = bench;
    for (const [vcpus, fits] of [
      [16 * cpuAllocationRatio, true],
      [16 * cpuAllocationRatio + 1, false],
    ] as const) {
      const id = await world.given.newServer({ flavor: { ...SMALL, vcpus } });
      const host = fits ? "a" : "b";
      const operation = await world.given.start(operations.create, await world.given.create(id, { host }));
      await world.toTheEnd();
      if (fits) assert.deepEqual(await bench.allocated(id), ["a"]);
      else await bench.expectFault(operation, "compute.no_valid_host");
    }
    await bench.close();
  });
}

for (const schedulerMaxAttempts of [1, 2, 3]) {
  test(`with max_attempts ${schedulerMaxAttempts} a build tries as many hosts`, async () => {
    const bench = await open({ schedulerMaxAttempts });
    const { world, operations } = bench;
    const fault = { type: "fail", error: NO_ROOM } as const;
    const failing = world.sim.faults.add({ verb: "compute.ensure", times: 100, fault });
    const id = await world.given.newServer();
    const operation = await world.given.start(operations.create, await world.given.create(id));
    await world.toTheEnd();
    assert.equal(failing.hits, schedulerMaxAttempts);
    await bench.expectFault(operation, NO_ROOM.code);
    await expectCleanSlate(world, { serverId: id, host: null, vm: "error" });
    await bench.close();
  });
}
