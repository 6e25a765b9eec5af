import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";

onBothStores("a server's life", (open) => {
  test("created, powered, and deleted", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.newServer();
    await bench.seen();
    const created = await world.given.start(operations.create, await world.given.create(id, { host: "b" }));
    await world.toTheEnd();
    assert.deepEqual(await bench.seen(), ["building/networking@b", "building/spawning@b", "active/-@b"]);
    assert.deepEqual(await bench.events(created), ["compute__do_build_and_run_instance"]);
    const changes = [
      { action: "stop", vm: "stopped" },
      { action: "start", vm: "active" },
      { action: "reboot", vm: "active" },
      { action: "pause", vm: "paused" },
      { action: "unpause", vm: "active" },
    ] as const;
    for (const { action, vm } of changes) {
      const operation = await world.given.start(operations.power[action], await world.given.power(id, action));
      await world.toTheEnd();
      assert.deepEqual(await bench.events(operation), [`compute_${action}_instance`]);
      await expectCleanSlate(world, { serverId: id, host: "b", vm });
    }
    const deleted = await world.given.start(operations.delete, await world.given.delete(id));
    await world.toTheEnd();
    assert.deepEqual(await bench.events(deleted), ["compute_terminate_instance"]);
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "deleted" });
    await bench.close();
  });

  test("network information reaches the guest; a stopped one gets it with its next start", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    const guest = () => world.sim.host("a")?.guests.get(id);
    assert.equal(guest()?.seenByGuest, null);
    await world.given.start(operations.injectNetworkInfo, await world.given.only(id));
    await world.given.start(operations.resetNetwork, await world.given.only(id));
    await world.toTheEnd();
    assert.equal(Object.keys(guest()?.seenByGuest ?? {}).length, 1);
    assert.equal(guest()?.networkResets, 1);
    await world.given.start(operations.power.stop, await world.given.power(id, "stop"));
    await world.toTheEnd();
    await world.given.start(operations.resetNetwork, await world.given.only(id));
    await world.toTheEnd();
    assert.equal(guest()?.networkResets, 1);
    await bench.close();
  });

  test("network information waits for a migration under way, and does not disturb it", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.given.start(operations.injectNetworkInfo, await world.given.only(id));
    await world.toTheEnd();
    assert.equal(Object.keys(world.sim.host("b")?.guests.get(id)?.seenByGuest ?? {}).length, 1);
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
    await bench.close();
  });

  test("a guest that ends by itself makes its server stopped; news that is old by then does not", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server();
    world.sim.crashGuest("a", id);
    await world.settle();
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "stopped", power: "crashed" });
    await world.given.start(operations.power.start, await world.given.power(id, "start"));
    await world.toTheEnd();
    await world.given.start(operations.syncPower, await world.given.only(id));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("the server of a host that is down can be deleted; the host is cleaned when it is back", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.server({ storage: "shared" });
    world.agents.partition("a");
    const operation = await world.given.start(operations.delete, await world.given.delete(id));
    await world.toTheEnd(async () => (await world.operation(operation)).state === "done");
    assert.equal((await bench.server(id)).vm_state, "deleted");
    assert.deepEqual(await bench.allocated(id), ["a"]);
    const ports = await world.harness.deps.network.portsOf(world.tools.store.read, id);
    assert.equal(ports.length, 1, "its address is kept while its guest may still use it");
    world.agents.heal("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
    await bench.close();
  });

  test("the addresses of a build that failed are kept until no host can have the guest", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const id = await world.given.newServer();
    const hang = world.sim.faults.add({ verb: "compute.ensure", fault: { type: "loseReply" }, times: 100 });
    const operation = await world.given.start(operations.create, await world.given.create(id, { host: "b" }));
    await world.workUntil(() => hang.hits > 0);
    world.agents.partition("b");
    await world.toTheEnd(async () => (await world.operation(operation)).state === "undone");
    const ports = () => world.harness.deps.network.portsOf(world.tools.store.read, id);
    assert.equal((await bench.server(id)).vm_state, "error");
    assert.equal((await ports()).length, 1);
    world.agents.heal("b");
    await world.toTheEnd();
    assert.deepEqual(await ports(), []);
    await expectCleanSlate(world, { serverId: id, host: null, vm: "error" });
    await bench.close();
  });
});
