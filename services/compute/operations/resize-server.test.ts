import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";
import { LARGE, SMALL } from "./testing/given.ts";

/** What users see from the request to VERIFY_RESIZE. */
const MOVE = [
  "pre-migrating",
  "migrating",
  "active/resize_migrating@a",
  "post-migrating",
  "active/resize_migrated@b",
  "active/resize_finish@b",
  "finished",
  "resized/-@b",
];

onBothStores("server.resize", (open) => {
  for (const storage of ["local", "shared"] as const) {
    test(`moves, then is confirmed (${storage})`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const id = await world.given.server({ storage });
      const options = await world.given.resize(id, { host: "b", kind: "resize", flavor: LARGE });
      await bench.seen();
      const operation = await world.given.start(operations.resize, options);
      await world.work();
      assert.deepEqual(await bench.seen(), MOVE);
      assert.deepEqual(await bench.allocated(id), ["a", "b"]);
      assert.deepEqual((await bench.actions(id)).at(-1), ["resize", null]);
      await world.given.decide(id, "confirm");
      await world.toTheEnd();
      assert.deepEqual(await bench.seen(), ["confirming", "confirmed", "active/-@b"]);
      assert.deepEqual(await bench.events(operation), [
        "conductor_migrate_server",
        "cold_migrate",
        "compute_prep_resize",
        "compute_resize_instance",
        "compute_finish_resize",
        "compute_confirm_resize",
      ]);
      await expectCleanSlate(world, { serverId: id, host: "b", vm: "active", flavor: LARGE });
      await bench.close();
    });

    test(`moves, then is reverted (${storage})`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const id = await world.given.server({ storage });
      const options = await world.given.resize(id, { host: "b", kind: "resize", flavor: LARGE });
      await world.given.start(operations.resize, options);
      await world.work();
      await bench.seen();
      await world.given.decide(id, "revert");
      await world.toTheEnd();
      assert.deepEqual(await bench.seen(), [
        "reverting",
        "resized/resize_reverting@b",
        "reverted",
        "resized/resize_reverting@a",
        "active/-@a",
      ]);
      await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", flavor: SMALL });
      await bench.close();
    });
  }

  test("confirms itself when the window closes, whoever runs the server by then", async () => {
    const bench = await Bench.open(open, { resizeConfirmWindowMs: 60_000 });
    const { world, operations } = bench;
    const id = await world.given.server({ stopped: true });
    await world.given.start(operations.resize, await world.given.resize(id));
    await world.work();
    assert.equal((await bench.server(id)).vm_state, "resized");
    world.restartServer();
    await world.pass(50_000);
    await world.work();
    assert.equal((await bench.migrations(id))[0]?.status, "finished");
    await world.toTheEnd();
    assert.equal((await bench.migrations(id))[0]?.status, "confirmed");
    await expectCleanSlate(world, { serverId: id, host: ["b", "c"], vm: "stopped" });
    await bench.close();
  });

  test("a revert that is accepted as the window closes stands", async () => {
    const bench = await Bench.open(open, { resizeConfirmWindowMs: 60_000 });
    const { world, operations } = bench;
    const id = await world.given.server();
    await world.given.start(operations.resize, await world.given.resize(id));
    await world.work();
    await world.pass(61_000);
    await world.given.decide(id, "revert");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("a source that is down does not hold up a confirm", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    await world.given.start(operations.resize, await world.given.resize(id, { host: "b" }));
    await world.work();
    world.agents.partition("a");
    await world.pass(70_000);
    await world.given.decide(id, "confirm");
    await world.toTheEnd(async () => (await bench.server(id)).vm_state === "active");
    assert.deepEqual(await bench.allocated(id), ["a", "b"]);
    world.agents.heal("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
    await bench.close();
  });

  test("a destination that falls silent while it boots is waited for: the guest may run there", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    const hang = world.sim.faults.add({ host: "b", verb: "compute.ensure", fault: { type: "hang" } });
    const operation = await world.given.start(operations.resize, await world.given.resize(id, { host: "b" }));
    await world.workUntil(() => hang.hits > 0);
    world.agents.partition("b");
    hang.release();
    await world.toTheEnd(async () => (await world.operation(operation)).direction === "undo");
    await world.toTheEnd(async () => (await world.operation(operation)).state === "stuck");
    assert.deepEqual(world.sim.violations, []);
    world.agents.heal("b");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("a host without room is refused, and nothing has happened", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    const flavor = { ...LARGE, ramMiB: 1_000_000 };
    const operation = await world.given.start(
      operations.resize,
      await world.given.resize(id, { kind: "resize", flavor }),
    );
    await world.toTheEnd();
    await bench.expectFault(operation, "compute.no_valid_host");
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", flavor: SMALL });
    await bench.close();
  });
});
