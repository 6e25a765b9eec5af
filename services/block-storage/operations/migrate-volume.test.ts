import assert from "node:assert/strict";
import { it } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findOperation } from "../../../kernel/operations/control.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { leaveBehind } from "../store/scope-volumes.ts";
import type { VolumeRow } from "../store/tables.ts";
import { disconnectVolumeOperation } from "./disconnect-volume.ts";
import { endMoves } from "./end-moves.ts";
import { migrateVolumeOperation } from "./migrate-volume.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { retypeVolumeOperation } from "./retype-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const STARTING = { host: "a@r#r", size_gib: 3, migration_status: "starting", previous_status: "available" } as const;
const RETYPING = { host: "a@r#r", size_gib: 3, status: "retyping", previous_status: "available" } as const;

onBothStores("a volume that is to move", (open) => {
  const bound = new BoundVolumeTools();
  const removeLeftover = removeLeftoverOperation(bound);
  const migrate = migrateVolumeOperation(bound, removeLeftover);
  const disconnectVolume = disconnectVolumeOperation(bound);
  const retype = retypeVolumeOperation(bound, removeLeftover);

  async function worldOf(): Promise<VolumeWorld> {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const world = new VolumeWorld(bound, tools, [removeLeftover]);
    await world.backend("a@r");
    return world;
  }
  async function run<Input>(
    world: VolumeWorld,
    definition: Operation<Input>,
    volume: Partial<VolumeRow>,
    inputOf: (volumeId: string) => Input,
  ): Promise<VolumeRow> {
    const { store, control } = world.tools;
    const { id } = await world.volume(volume);
    await store.tx((t) => control.start(t, definition, { input: inputOf(id), resourceId: id }));
    await world.drain([migrate, retype]);
    return await world.row(id);
  }
  const toB = (volumeId: string) => ({ volumeId, destination: { host: "b@r#r" } });
  const expectStayed = async (world: VolumeWorld, row: VolumeRow) => {
    assert.deepEqual([row.status, row.host, row.migration_status], ["available", "a@r#r", "error"]);
    await world.expectLeft(`a@r ${row.id} 3`);
  };

  it("stays when the destination has no room, not what its type needs, or is not there", async () => {
    const full = await worldOf();
    await full.backend("b@r", null, 2);
    await expectStayed(full, await run(full, migrate, STARTING, toB));
    assert.deepEqual(await full.messages(), ["migrate volume: Could not find any available weighted backend."]);
    const unfit = await worldOf();
    await unfit.backend("b@r");
    const type_id = await unfit.type({ volume_backend_name: "other" });
    await expectStayed(unfit, await run(unfit, migrate, { ...STARTING, type_id }, toB));
    const nowhere = await worldOf();
    await expectStayed(nowhere, await run(nowhere, migrate, STARTING, toB));
    assert.deepEqual(
      [full, unfit, nowhere].flatMap((world) => world.arrays.told),
      [],
    );
  });

  it("stays when the room is gone when it comes, or the copies differ at the end", async () => {
    const late = await worldOf();
    await late.backend("b@r");
    late.arrays.of("b@r").capacity = 1;
    await expectStayed(late, await run(late, migrate, STARTING, toB));
    const differing = await worldOf();
    await differing.backend("b@r");
    differing.arrays.of("a@r").before = (verb) => {
      const [received] = differing.arrays.of("b@r").volumes.values();
      if (verb === "volume.finishCopy" && received) received.source = "torn";
    };
    await expectStayed(differing, await run(differing, migrate, STARTING, toB));
  });

  it("stays when its server would not find it at the destination, or the destination has lost it", async () => {
    for (const lost of [false, true]) {
      const world = await worldOf();
      await world.backend("b@r");
      const { store, control } = world.tools;
      const { id } = await world.volume({ ...STARTING, status: "in-use", previous_status: "in-use" });
      const address = { kind: "unix", path: "/run/elsewhere", export: id };
      await (lost ? world.attachment(id, "host-9") : world.attachment(id, "host-9", address));
      const other = world.arrays.of("b@r");
      other.before = (verb) => void (lost && verb === "volume.inspect" && other.volumes.clear());
      await store.tx((t) => control.start(t, migrate, { input: toB(id), resourceId: id }));
      await world.drain([migrate]);
      const row = await world.row(id);
      assert.deepEqual([row.status, row.host, row.migration_status], ["in-use", "a@r#r", "error"]);
      await world.expectLeft(`a@r ${id} 3 served`);
    }
  });

  it("is not left half moved by a failover of its backend", async () => {
    const world = await worldOf();
    await world.backend("b@r");
    const { store, control, clock, ids } = world.tools;
    const { id } = await world.volume({ ...STARTING, status: "maintenance" });
    const begun = await store.tx((t) => control.start(t, migrate, { input: toB(id), resourceId: id }));
    const target = { scope: "a@r", backend: "r", to: { host: "a" } };
    const kernel = { clock, ids, operations: control };
    await store.tx((t) => leaveBehind(t, { kernel, target, requestId: null }));
    await world.drain([migrate]);
    assert.equal((await findOperation(store.read, begun))?.state, "undone");
    const row = await world.row(id);
    assert.deepEqual([row.status, row.host, row.migration_status], ["error", "a@r#r", "error"]);
    await world.expectLeft(`a@r ${id} 3`);
  });

  it("is where it was to go although its source cannot be cleaned yet, and does not go back before it is", async () => {
    const world = await worldOf();
    await world.backend("b@r");
    const source = world.arrays.of("a@r");
    source.before = (verb) => {
      if (verb === "volume.ensureAbsent") throw new CloudError("conflict", "storage.volume_in_use", "Not now.");
    };
    const row = await run(world, migrate, { ...STARTING, status: "maintenance" }, toB);
    assert.deepEqual([row.status, row.host, row.migration_status], ["available", "b@r#r", "success"]);
    const { store, control, clock } = world.tools;
    const back = { volumeId: row.id, destination: { host: "a@r" } };
    await store.tx((t) => control.start(t, migrate, { input: back, resourceId: row.id }));
    await world.drain([migrate]);
    assert.deepEqual((await world.row(row.id)).host, "b@r#r");
    source.before = () => {};
    clock.advance(60_000);
    await world.expectLeft(`b@r ${row.id} 3`);
  });

  /** A move that its destination does not finish; an administrator has just ended it. */
  async function givenUp(how: "migrate" | "retype"): Promise<{ world: VolumeWorld; id: string }> {
    const world = await worldOf();
    await world.backend("b@fast");
    world.arrays.of("b@fast").before = (verb) => {
      if (verb === "volume.ensureNotExported")
        throw new CloudError("unavailable", "storage.array_unreachable", "Away.");
    };
    const typeId = await world.type({ volume_backend_name: "fast" });
    const destination = { host: "b@fast" };
    const stuck = await (how === "migrate"
      ? run(world, migrate, { ...STARTING, status: "maintenance" }, (volumeId) => ({ volumeId, destination }))
      : run(world, retype, RETYPING, (volumeId) => ({ volumeId, typeId, mayMove: true, growth: {} })));
    assert.deepEqual([stuck.host, stuck.migration_status], ["b@fast#fast", "completing"]);
    const { store, control, clock, ids } = world.tools;
    const deps = { kernel: { clock, ids, operations: control }, operations: { removeLeftover, disconnectVolume } };
    await store.tx((t) => endMoves(t, deps, stuck.id));
    const row = await world.row(stuck.id);
    assert.deepEqual([row.status, row.host, row.migration_status], ["available", "b@fast#fast", "error"]);
    return { world, id: stuck.id };
  }

  for (const how of ["migrate", "retype"] as const) {
    it(`is a volume like others at its destination after a given up ${how}, once that is back`, async () => {
      const { world, id } = await givenUp(how);
      await world.drain([migrate, retype, disconnectVolume]);
      world.arrays.of("b@fast").before = () => {};
      world.tools.clock.advance(3_600_000);
      await world.drain([migrate, retype, disconnectVolume]);
      await world.expectLeft(`b@fast ${id} 3`);
    });
  }

  it("is kept at its source while the destination of a given up move has nothing of it", async () => {
    const { world, id } = await givenUp("migrate");
    const there = world.arrays.of("b@fast").volumes;
    const [lost] = there.values();
    there.clear();
    await world.drain([migrate, retype, disconnectVolume]);
    assert.deepEqual(world.arrays.contents(), [`a@r ${id} 3 copied`]);
    if (lost) there.set(id, lost);
    world.arrays.of("b@fast").before = () => {};
    world.tools.clock.advance(3_600_000);
    await world.drain([disconnectVolume]);
    await world.expectLeft(`b@fast ${id} 3`);
  });

  it("is retyped where it is when it can be, and moves only if it may", async () => {
    const world = await worldOf();
    await world.backend("b@fast");
    const fast = await world.type({ volume_backend_name: "fast" });
    const retyped = (typeId: string, mayMove: boolean, volume: Partial<VolumeRow> = {}) =>
      run(world, retype, { ...RETYPING, ...volume }, (volumeId) => ({ volumeId, typeId, mayMove, growth: {} }));
    const kept = await retyped(fast, false);
    assert.deepEqual([kept.status, kept.host, kept.migration_status], ["available", "a@r#r", null]);
    assert.notEqual(kept.type_id, fast);
    const moved = await retyped(fast, true);
    assert.deepEqual([moved.status, moved.host, moved.type_id], ["available", "b@fast#fast", fast]);
    const inPlace = await retyped(await world.type({ volume_backend_name: "r" }), true);
    assert.equal(inPlace.host, "a@r#r");
    const mirrored = await world.type({ replication_enabled: "<is> True" });
    assert.equal((await retyped(mirrored, true)).host, "a@r#r");
    const replicated = await retyped(fast, true, { replication_status: "enabled" });
    assert.deepEqual([replicated.host, replicated.status], ["a@r#r", "available"]);
    assert.deepEqual(await world.messages(), [
      "retype volume: An unknown error occurred.",
      "retype volume: Could not find any available weighted backend.",
      "retype volume: An unknown error occurred.",
    ]);
  });
});
