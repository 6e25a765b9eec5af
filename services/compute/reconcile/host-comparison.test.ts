import assert from "node:assert/strict";
import { test } from "node:test";
import { createSimComputeDriver } from "../../../agent/drivers/compute/sim/sim-compute-driver.ts";
import type { GuestVolume } from "../../../agent/protocol/compute.ts";
import { testSpecs } from "../../../agent/sim/testing/test-specs.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../kernel/log/logger.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../../block-storage/store/tables.ts";
import { Bench } from "../operations/testing/bench.ts";
import { expectCleanSlate } from "../operations/testing/clean-slate.ts";
import { SMALL } from "../operations/testing/given.ts";
import { HOSTS } from "../operations/testing/operation-world.ts";
import { allocate } from "../store/allocations.ts";
import { HostComparison } from "./host-comparison.ts";

const never = new AbortController().signal;

function comparisonOf({ world, operations }: Bench) {
  const { deps } = world.harness;
  const comparison = new HostComparison(deps, world.fleet.commands, operations.cleanup);
  return {
    comparison,
    /** Compares every host once. */
    async round(): Promise<void> {
      for (const _ of HOSTS) {
        let over = false;
        const part = comparison.next(never).finally(() => {
          over = true;
        });
        while (!over) {
          await world.tools.store.turn();
          world.pump();
        }
        await part;
      }
    },
  };
}

/** What a guest does without anybody asking it. */
function changeDisks(
  { world: { sim } }: Bench,
  serverId: string,
  change: (had: readonly GuestVolume[]) => readonly GuestVolume[],
): void {
  for (const host of HOSTS.flatMap((name) => sim.host(name) ?? [])) {
    const guest = host.guests.get(serverId);
    if (guest) sim.volumes.plug(host, guest, change(guest.volumes));
  }
}

onBothStores("HostComparison", (open) => {
  test("a guest whose end nobody told of makes its server stopped", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { round } = comparisonOf(bench);
    const [dead, alive] = [await world.given.server(), await world.given.server()];
    world.sim.host("a")?.listeners.clear();
    world.sim.crashGuest("a", dead);
    await round();
    await world.toTheEnd();
    const expected = [
      { serverId: dead, host: "a", vm: "stopped", power: "crashed" },
      { serverId: alive, host: "a", vm: "active" },
    ] as const;
    await expectCleanSlate(world, ...expected);
    await round();
    assert.deepEqual(await world.live(), [], "there is nothing left to do");
    await bench.close();
  });

  test("room that is held for a server of another host is cleaned and given back", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { round } = comparisonOf(bench);
    const id = await world.given.server({ storage: "shared" });
    const { store, clock } = world.tools;
    await store.tx((t) => allocate(t, clock, { serverId: id, host: "c", flavor: SMALL, ratios: null }));
    await round();
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active" });
    await bench.close();
  });

  test("a guest that nobody knows, and one that should be off, are told of and left alone", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { comparison, round } = comparisonOf(bench);
    const id = await world.given.server();
    await world.given.start(operations.power.stop, await world.given.power(id, "stop"));
    await world.toTheEnd();
    const call = {
      key: "by hand",
      epoch: 0,
      deadline: new Date(0),
      signal: never,
      log: silentLogger,
      progress: () => {},
      image: () => Promise.reject(new Error("none")),
    };
    const spec = testSpecs(systemIds).next();
    await createSimComputeDriver({ world: world.sim, host: "b" }).ensure(spec, "running", call);
    const guest = world.sim.host("a")?.guests.get(id);
    assert.ok(guest);
    await createSimComputeDriver({ world: world.sim, host: "a" }).ensure(guest.spec, "running", call);
    await round();
    assert.deepEqual(await world.live(), []);
    assert.deepEqual(comparison.oddities, [
      { host: "a", serverId: id, what: "unexpected" },
      { host: "b", serverId: spec.serverId, what: "unknown" },
    ]);
    const running = world.sim.leftovers().guests.filter(({ power }) => power === "running");
    assert.equal(running.length, 2);
    world.sim.crashGuest("a", id);
    await round();
    assert.deepEqual(
      comparison.oddities.map((odd) => odd.host),
      ["b"],
    );
    await bench.close();
  });

  test("a disk that a guest has lost is plugged in again", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { round } = comparisonOf(bench);
    const volumes = [await world.given.volume(), await world.given.volume()];
    const id = await world.given.server({ devices: { existing: volumes } });
    // A guest that obeys an unplug after it was given up.
    changeDisks(bench, id, (had) => had.slice(1));
    await round();
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "active", volumes });
    await round();
    assert.deepEqual(await world.live(), [], "there is nothing left to do");
    await bench.close();
  });

  test("a disk that a guest has too much is told of, and keeps it as it is", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { comparison, round } = comparisonOf(bench);
    const [one, other, lost] = [await world.given.volume(), await world.given.volume(), await world.given.volume()];
    const id = await world.given.server({ devices: { existing: [one, lost] } });
    const owner = await world.given.server({ host: "b", devices: { existing: [other] } });
    changeDisks(bench, owner, () => []);
    changeDisks(bench, id, (had) =>
      had.flatMap((disk) => (disk.volumeId === one ? [disk, { ...disk, volumeId: other }] : [])),
    );
    await round();
    // Neither what it lacks is plugged, which would unplug the other one, nor what its owner lacks, which it would write to as well.
    assert.deepEqual(await world.live(), []);
    assert.deepEqual(comparison.oddities, [{ host: "a", serverId: id, what: "extra", volumeId: other }]);
    const left = world.sim.leftovers().volumes.filter(({ serverId }) => serverId === id);
    assert.deepEqual(left.map(({ volumeId }) => volumeId).toSorted(), [one, other].toSorted());
    await bench.close();
  });

  test("a disk is left alone whose attachment was reset, or that is being changed", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { round } = comparisonOf(bench);
    const { store } = world.tools;
    const volumeId = await world.given.volume();
    const id = await world.given.server({ devices: { existing: [volumeId] } });
    changeDisks(bench, id, () => []);
    const set = (status: "extending" | "in-use") =>
      store.tx((t) => t.tables<BlockStorageTables>().updateTable("volumes").set({ status }).execute());
    await set("extending");
    await round();
    assert.deepEqual(await world.live(), []);
    await set("in-use");
    const { blockStorage } = world.harness.deps;
    await store.tx(async (t) => {
      for (const { attachmentId } of (await blockStorage.attachmentsOfServer(t, id)).values())
        await blockStorage.letGo(t, attachmentId);
    });
    await round();
    assert.deepEqual(await world.live(), []);
    await bench.close();
  });

  test("what an operation is about is left to it", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { comparison, round } = comparisonOf(bench);
    const id = await world.given.server();
    const resize = await world.given.start(operations.resize, await world.given.resize(id));
    await world.toTheEnd(async () => (await bench.server(id)).vm_state === "resized");
    await round();
    const live = await world.live();
    assert.deepEqual(
      live.map((operation) => operation.id),
      [resize],
    );
    assert.deepEqual(comparison.oddities, []);
    await bench.close();
  });

  test("hosts that are down are not asked, and one that does not answer holds nothing up", async () => {
    const bench = await Bench.open(open);
    const { world } = bench;
    const { round } = comparisonOf(bench);
    const id = await world.given.server();
    world.agents.partition("b");
    await round();
    const began = world.tools.clock.now();
    await world.pass(70_000);
    world.sim.host("a")?.listeners.clear();
    world.sim.crashGuest("a", id);
    await round();
    assert.ok(world.tools.clock.now() - began < 100_000, "the silent host was not waited for");
    world.agents.heal("b");
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "a", vm: "stopped", power: "crashed" });
    await bench.close();
  });

  test("it ends when the process is about to stop", async () => {
    const bench = await Bench.open(open);
    const { comparison } = comparisonOf(bench);
    bench.world.agents.partition("a");
    const stop = new AbortController();
    const part = comparison.next(stop.signal);
    stop.abort(new Error("stopping"));
    await assert.rejects(part, /stopping/);
    await bench.close();
  });
});
