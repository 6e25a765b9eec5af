import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, updateService } from "../../../kernel/fleet/services.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";

const unsupported = new CloudError("invalid", "compute.fencing_unsupported", "No.");

onBothStores("server.evacuate", (open) => {
  for (const storage of ["local", "shared"] as const) {
    test(`starts the server elsewhere, fenced, and cleans its old host when that is back (${storage})`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const id = await world.given.server({ storage });
      world.agents.partition("a");
      await world.pass(70_000);
      const options = await world.given.evacuate(id, { host: "b" });
      await bench.seen();
      const operation = await world.given.start(operations.evacuate, options);
      await world.toTheEnd(async () => (await world.operation(operation)).state === "done");
      assert.deepEqual(await bench.seen(), [
        "accepted",
        "pre-migrating",
        "active/rebuild_spawning@a",
        "active/-@b",
        "done",
      ]);
      assert.deepEqual(await bench.events(operation), ["rebuild_server", "compute_rebuild_instance"]);
      assert.deepEqual(await bench.allocated(id), ["a", "b"]);
      assert.deepEqual(world.sim.violations, []);
      world.agents.heal("a");
      await world.toTheEnd();
      assert.equal((await bench.migrations(id))[0]?.status, "completed");
      await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
      await bench.close();
    });
  }

  test("a host that cannot be fenced must be vouched for, where the disk is shared", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server({ storage: "shared" });
    world.sim.losePower("a");
    world.agents.partition("a");
    world.sim.faults.add({ verb: "compute.fence", times: 2, fault: { type: "fail", error: unsupported } });
    await world.pass(70_000);
    const refused = await world.given.start(operations.evacuate, await world.given.evacuate(id, { host: "b" }));
    await world.toTheEnd();
    await bench.expectFault(refused, "compute.not_fenced");
    assert.deepEqual(await bench.allocated(id), ["a"]);
    const service = await findServiceOn(world.tools.store.read, "a", "nova-compute");
    await world.tools.store.tx((t) => updateService(t, world.tools.clock, service?.uuid ?? "", { forced_down: 1 }));
    const operation = await world.given.start(operations.evacuate, await world.given.evacuate(id, { host: "b" }));
    await world.toTheEnd(async () => (await world.operation(operation)).state === "done");
    world.agents.heal("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
    await bench.close();
  });

  test("from 2.95 on it ends stopped", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server({ storage: "shared" });
    world.sim.losePower("a");
    world.agents.partition("a");
    await world.pass(70_000);
    const options = await world.given.evacuate(id, { stopAfter: true });
    const operation = await world.given.start(operations.evacuate, options);
    await world.toTheEnd(async () => (await world.operation(operation)).state === "done");
    world.agents.heal("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: ["b", "c"], vm: "stopped" });
    await bench.close();
  });
});
