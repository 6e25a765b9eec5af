import assert from "node:assert/strict";
import { test } from "node:test";
import { SimTicker } from "../../../agent/drivers/compute/sim/sim-console.ts";
import { findServiceOn, updateService } from "../../../kernel/fleet/services.ts";
import { showOperation } from "../../../kernel/operations/queries.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";

const EVENTS = [
  "conductor_live_migrate_instance",
  "compute_check_can_live_migrate_destination",
  "compute_check_can_live_migrate_source",
  "compute_pre_live_migration",
  "compute_live_migration",
];

/** Where an operator sees that the steps acted. */
async function hostsOfSteps(store: Store, operation: string): Promise<Record<string, string>> {
  const { steps = [] } = (await showOperation(store.read, operation)) ?? {};
  return Object.fromEntries(steps.flatMap(({ step, host }) => (host === null ? [] : [[step, host]])));
}

onBothStores("server.live_migrate", (open) => {
  for (const storage of ["local", "shared"] as const) {
    test(`moves a running guest (${storage})`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const id = await world.given.server({ storage });
      const options = await world.given.liveMigrate(id, { host: "b" });
      await bench.seen();
      const operation = await world.given.start(operations.liveMigrate, options);
      await world.toTheEnd();
      // ACTIVE a moment before the record is completed.
      assert.deepEqual(await bench.seen(), ["accepted", "queued", "preparing", "running", "active/-@b", "completed"]);
      assert.deepEqual(await bench.events(operation), [...EVENTS, "compute_post_live_migration_at_destination"]);
      assert.deepEqual(await hostsOfSteps(world.tools.store, operation), {
        "check-destination": "b",
        "check-source": "a",
        "prepare-destination": "b",
        migrate: "a",
        "finish-destination": "b",
        "clean-source": "a",
      });
      assert.deepEqual((await bench.actions(id)).at(-1), ["live-migration", null]);
      const [migration] = await bench.migrations(id);
      assert.deepEqual([migration?.source_host, migration?.dest_host], ["a", "b"]);
      assert.ok(migration?.dest_address);
      await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
      await bench.close();
    });
  }

  test("a paused guest stays paused", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    await world.given.start(operations.power.pause, await world.given.power(id, "pause"));
    await world.toTheEnd();
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: ["b", "c"], vm: "paused" });
    await bench.close();
  });

  for (const verb of ["abort", "force_complete"] as const) {
    test(`${verb} while a busy guest never converges`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const id = await world.given.server();
      world.sim.setDirtiesMemory(id, true);
      const options = await world.given.liveMigrate(id, { host: "b" });
      const operation = await world.given.start(operations.liveMigrate, options);
      await world.workUntil(() => world.sim.works.active > 0);
      await world.tools.store.tx((t) => world.tools.control.signal(t, operation, verb));
      await world.toTheEnd();
      const [migration] = await bench.migrations(id);
      assert.equal(migration?.status, verb === "abort" ? "cancelled" : "completed");
      const events = await bench.events(operation);
      const last = verb === "abort" ? "compute_rollback_live_migration_at_destination" : EVENTS[0];
      assert.ok(events.includes(last ?? ""));
      await expectCleanSlate(world, { serverId: id, host: verb === "abort" ? "a" : "b", vm: "active" });
      await bench.close();
    });

    test(`the completion timeout does ${verb}, also after a restart of the server`, async () => {
      const bench = await Bench.open(open, {
        liveMigrationTimeoutAction: verb,
        liveMigrationCompletionTimeoutMs: 100_000,
      });
      const { world, operations } = bench;
      const id = await world.given.server({ storage: "shared" });
      world.sim.setDirtiesMemory(id, true);
      const began = world.tools.clock.now();
      await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
      await world.workUntil(() => world.sim.works.active > 0);
      world.restartServer();
      await world.toTheEnd();
      const took = world.tools.clock.now() - began;
      assert.ok(took >= 200_000 && took < 320_000, `it took ${took} ms`);
      await expectCleanSlate(world, { serverId: id, host: verb === "abort" ? "a" : "b", vm: "active" });
      await bench.close();
    });
  }

  test("an abort before its turn takes effect when the turn comes", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    const operation = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.tools.store.tx((t) => world.tools.control.signal(t, operation, "abort"));
    await world.toTheEnd();
    assert.equal((await bench.migrations(id))[0]?.status, "cancelled");
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("a destination that refuses is replaced, a chosen one is not", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    world.sim
      .host("b")
      ?.disks.set("other", { serverId: "other", sizeGiB: 5000, imageId: "", ticker: new SimTicker(2 ** 40) });
    const id = await world.given.server();
    const refused = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.toTheEnd();
    await bench.expectFault(refused, "compute.migration_refused");
    assert.equal((await bench.migrations(id))[0]?.status, "error");
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id));
    await world.toTheEnd();
    world.sim.host("b")?.disks.delete("other");
    await expectCleanSlate(world, { serverId: id, host: "c", vm: "active" });
    await bench.close();
  });

  test("same host, wrong kind of storage, and no host at all end as they began", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    const tries = [
      { more: { host: "a" }, code: "compute.migration_precheck" },
      { more: { blockMigration: false }, code: "compute.migration_precheck" },
      { more: { host: "nowhere" }, code: "compute.no_valid_host" },
    ];
    for (const { more, code } of tries) {
      const operation = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, more));
      await world.toTheEnd();
      await bench.expectFault(operation, code);
      await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    }
    assert.deepEqual(new Set((await bench.actions(id)).slice(1).map(([, message]) => message)), new Set(["Error"]));
    await bench.close();
  });

  test("a destination that dies with the guest, and is called dead, has the server all the same", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { store, clock } = world.tools;
    const id = await world.given.server({ storage: "shared" });
    const hang = world.sim.faults.add({ verb: "compute.finishIncoming", fault: { type: "hang" } });
    const operation = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.workUntil(() => hang.hits > 0);
    world.agents.partition("b");
    world.sim.losePower("b");
    const service = await findServiceOn(store.read, "b", "nova-compute");
    await store.tx((t) => updateService(t, clock, service?.uuid ?? "", { forced_down: 1 }));
    await world.toTheEnd(async () => (await world.operation(operation)).state === "done");
    assert.equal((await bench.server(id)).host, "b");
    assert.deepEqual(await bench.allocated(id), ["b"]);
    await store.tx((t) => updateService(t, clock, service?.uuid ?? "", { forced_down: 0 }));
    world.agents.heal("b");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "stopped", power: "crashed" });
    await bench.close();
  });

  test("one after another leaves a host", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const ids = [await world.given.server(), await world.given.server(), await world.given.server()];
    for (const id of ids)
      await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.toTheEnd();
    await expectCleanSlate(world, ...ids.map((serverId) => ({ serverId, host: "b", vm: "active" as const })));
    await bench.close();
  });
});
