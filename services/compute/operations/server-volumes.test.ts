import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../../block-storage/store/tables.ts";
import { transition } from "../store/servers.ts";
import { abandonAll } from "./compute-operations.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";
import type { OperationWorld } from "./testing/operation-world.ts";

onBothStores("a server's volumes", (open) => {
  test("a guest that never lets go of a disk keeps it, and its owner is told", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server({ devices: { existing: [volumeId] } });
    // Its disk is plugged again, which the guest takes.
    const busy = new CloudError("unavailable", "compute.volume_busy", "The guest keeps its disk.");
    const handle = world.sim.faults.add({
      verb: "compute.ensureVolumes",
      times: 5,
      fault: { type: "fail", error: busy },
    });
    const detach = await world.given.start(operations.detachVolume, await world.given.detach(id));
    await world.toTheEnd();
    assert.equal(handle.hits, 5);
    await bench.expectFault(detach, "compute.volume_busy");
    assert.match((await bench.server(id)).fault ?? "", /The guest keeps its disk/);
    assert.deepEqual((await bench.actions(id)).at(-1), ["detach_volume", "Error"]);
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", volumes: [volumeId] });
    await bench.close();
  });

  test("attaching to a paused guest, stopping, starting and detaching", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server();
    const power = async (action: "pause" | "unpause" | "stop" | "start") => {
      await world.given.start(operations.power[action], await world.given.power(id, action));
      await world.toTheEnd();
    };
    await power("pause");
    await world.given.start(operations.attachVolume, await world.given.attach(id, volumeId));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "paused", volumes: [volumeId] });
    for (const action of ["unpause", "stop", "start"] as const) await power(action);
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", volumes: [volumeId] });
    const detach = await world.given.start(operations.detachVolume, await world.given.detach(id));
    await world.toTheEnd();
    assert.deepEqual(await bench.events(detach), ["compute_detach_volume"]);
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("a hot plug and a live migration come one after the other", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server();
    const attach = await world.given.attach(id, volumeId);
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.given.start(operations.attachVolume, attach);
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active", volumes: [volumeId] });
    await bench.close();
  });

  test("an attach under way goes on after a reset of the server's state", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { id, volumeId, hang } = await attaching(bench);
    const { deps } = world.harness;
    await world.tools.store.tx((t) => abandonAll(t, deps, operations, id, { cleanup: true }));
    hang.release();
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", volumes: [volumeId] });
    await bench.close();
  });

  test("a server that is deleted while it gets a volume leaves the volume free", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { id, hang } = await attaching(bench);
    await world.tools.store.tx((t) => abandonAll(t, world.harness.deps, operations, id, { cleanup: false }));
    await world.given.start(operations.delete, await world.given.delete(id));
    hang.release();
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
    await bench.close();
  });

  test("an evacuation while a volume is plugged brings the guest up with it", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { id, volumeId, hang } = await attaching(bench);
    world.sim.losePower("a");
    hang.release();
    const { deps } = world.harness;
    await world.tools.store.tx((t) => abandonAll(t, deps, operations, id, { cleanup: true }));
    await world.given.start(operations.evacuate, await world.given.evacuate(id, { host: "b" }));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active", volumes: [volumeId] });
    await bench.close();
  });

  test("a volume that was taken from a deleted server by force is not deleted when its silent host returns", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server({ devices: { existing: [volumeId], deleteOnTermination: true } });
    await world.agents.stop("a");
    await world.pass(120_000);
    await world.given.start(operations.delete, await world.given.delete(id));
    await world.toTheEnd(async () => (await bench.server(id)).vm_state === "deleted");
    await reset(world, id);
    await world.agents.restart("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
    const db = world.tools.store.read.tables<BlockStorageTables>();
    const left = await db.selectFrom("volumes").select("id").where("deleted_at", "is", null).execute();
    assert.deepEqual(
      left.map(({ id: one }) => one),
      [volumeId],
    );
    await bench.close();
  });

  test("volumes of a deleted server are given up when its silent host has been cleaned", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server({ devices: { existing: [volumeId] } });
    await world.agents.stop("a");
    await world.pass(120_000);
    await world.given.start(operations.delete, await world.given.delete(id));
    await world.toTheEnd(async () => (await bench.server(id)).vm_state === "deleted");
    assert.deepEqual(world.served, [volumeId]);
    await world.agents.restart("a");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
    await bench.close();
  });

  test("a volume that moves is given up when it has moved", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.server({ devices: { existing: [volumeId] } });
    const set = async (migration_status: "migrating" | "success") => {
      await world.tools.store.tx((t) =>
        t.tables<BlockStorageTables>().updateTable("volumes").set({ migration_status }).execute(),
      );
    };
    await set("migrating");
    await world.given.start(operations.delete, await world.given.delete(id));
    await world.toTheEnd(async () => (await bench.server(id)).vm_state === "deleted");
    assert.deepEqual(world.served, [volumeId]);
    await set("success");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
    await bench.close();
  });

  for (const change of ["extending", "retyping"] as const) {
    test(`a server goes while its volume is ${change}, and the volume is given up and goes when that has ended`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const volumeId = await world.given.volume();
      const id = await world.given.server({ devices: { existing: [volumeId], deleteOnTermination: true } });
      const set = async (status: typeof change | "in-use") => {
        const to = { status, previous_status: "in-use" as const };
        await world.tools.store.tx((t) => t.tables<BlockStorageTables>().updateTable("volumes").set(to).execute());
      };
      await set(change);
      const told = world.storage.faults.add({
        verb: "volume.ensureNotExported",
        fault: { type: "fail", error: new CloudError("unavailable", "test.too_early", "It is not still yet.") },
      });
      await world.given.start(operations.delete, await world.given.delete(id));
      await world.toTheEnd(async () => (await bench.server(id)).vm_state === "deleted");
      await world.work();
      await world.pass(10 * 60_000);
      await world.work();
      assert.equal(told.hits, 0);
      assert.deepEqual(
        (await world.live()).map((row) => [row.name, row.state, JSON.parse(row.detail ?? "null")]),
        [["server.release_volume", "waiting", { waiting_for_volume: volumeId }]],
      );
      told.remove();
      await set("in-use");
      await world.toTheEnd();
      world.givenVolumes.delete(volumeId);
      await expectCleanSlate(world, { serverId: id, host: "a", vm: "deleted" });
      await bench.close();
    });
  }

  const TROUBLE = [
    new CloudError("internal", "internal.unexpected", "An unexpected error occurred."),
    new CloudError("conflict", "fleet.stale_epoch", "A newer holder of this operation has taken over."),
  ];
  for (const error of TROUBLE) {
    for (const ending of ["detach", "delete"] as const) {
      test(`a volume is not let go while its backend answers ${error.code} to a ${ending}`, async () => {
        const bench = await Bench.open(open);
        const { world, operations } = bench;
        const volumeId = await world.given.volume();
        const id = await world.given.server({ devices: { existing: [volumeId] } });
        const trouble = world.storage.faults.add({
          verb: "volume.ensureNotExported",
          times: 3,
          fault: { type: "fail", error },
        });
        if (ending === "detach") await world.given.start(operations.detachVolume, await world.given.detach(id));
        else {
          await world.given.start(operations.delete, await world.given.delete(id));
          await world.toTheEnd(async () => (await bench.server(id)).vm_state === "deleted");
          assert.ok(trouble.hits < 3, "its backend does not hold up the user");
        }
        await world.toTheEnd();
        assert.equal(trouble.hits, 3);
        const vm = ending === "detach" ? "active" : "deleted";
        await expectCleanSlate(world, { serverId: id, host: "a", vm });
        await bench.close();
      });
    }
  }

  test("a build without a host leaves neither a volume that was made nor a hold on one that was there", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const volumeId = await world.given.volume();
    const id = await world.given.newServer({ devices: { existing: [volumeId], made: 1 } });
    const { clock } = world.tools;
    const to = { task: "scheduling" as const };
    await world.tools.store.tx((t) => transition(t, { clock, id, from: {}, to, action: "create" }));
    const wanted = await world.given.create(id, { host: "nowhere", volumes: true });
    await bench.expectFault(
      await world.given.start(operations.create, wanted).then(async (operation) => {
        await world.toTheEnd();
        return operation;
      }),
      "compute.no_valid_host",
    );
    await expectCleanSlate(world, { serverId: id, host: null, vm: "error" });
    await bench.close();
  });

  test("a volume that was taken from a server by a reset stays with the one that has it by then", async () => {
    for (const ending of ["detach", "delete"] as const) {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      const { given } = world;
      const volumeId = await given.volume();
      const before = await given.server({ devices: { existing: [volumeId] } });
      const now = await given.server({ host: "b" });
      await given.start(operations.power.stop, await given.power(before, "stop"));
      await world.toTheEnd();
      await reset(world, before);
      await given.start(operations.attachVolume, await given.attach(now, volumeId));
      await world.toTheEnd();
      if (ending === "detach") await given.start(operations.detachVolume, await given.detach(before));
      else await given.start(operations.delete, await given.delete(before));
      await world.toTheEnd();
      const vm = ending === "detach" ? ("stopped" as const) : ("deleted" as const);
      const having = { serverId: now, host: "b", vm: "active" as const, volumes: [volumeId] };
      await expectCleanSlate(world, { serverId: before, host: "a", vm }, having);
      await bench.close();
    }
  });

  test("a server starts without a volume that is no more, and can be rid of it", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { given } = world;
    const volumeId = await given.volume();
    const id = await given.server({ devices: { existing: [volumeId] } });
    await given.start(operations.power.stop, await given.power(id, "stop"));
    await world.toTheEnd();
    await reset(world, id);
    const removal = { volumeId, force: false, requestId: null };
    await world.tools.store.tx((t) => world.harness.deps.blockStorage.remove(t, removal));
    await world.toTheEnd();
    await given.start(operations.power.start, await given.power(id, "start"));
    await world.toTheEnd();
    await given.start(operations.detachVolume, await given.detach(id));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });
});

/** An administrator says that nobody has the server's volumes: their attachments are gone, the server knows nothing of it. */
async function reset(world: OperationWorld, serverId: string): Promise<void> {
  const { blockStorage } = world.harness.deps;
  await world.tools.store.tx(async (t) => {
    for (const { attachmentId } of (await blockStorage.attachmentsOfServer(t, serverId)).values())
      await blockStorage.letGo(t, attachmentId);
  });
}

/** A server that is getting a volume: its host hangs at it until `hang` is released. */
async function attaching({ world, operations }: Bench) {
  const volumeId = await world.given.volume();
  const id = await world.given.server();
  const hang = world.sim.faults.add({ verb: "compute.ensureVolumes", fault: { type: "hang" } });
  await world.given.start(operations.attachVolume, await world.given.attach(id, volumeId));
  await world.workUntil(() => hang.hits === 1);
  return { id, volumeId, hang };
}
