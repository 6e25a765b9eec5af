import assert from "node:assert/strict";
import { it } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { VolumeRow } from "../store/tables.ts";
import { createVolumeOperation } from "./create-volume.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const NOWHERE = { host: null, replication_status: null, launched_at: null, status: "creating" } as const;
const NO_ROOM = "create volume from backend storage: The backend has not enough room.";
const NO_BACKEND = "schedule allocate volume: Could not find any available weighted backend.";

onBothStores("a new volume", (open) => {
  const bound = new BoundVolumeTools();
  const removeLeftover = removeLeftoverOperation(bound);
  const definition = createVolumeOperation(bound, removeLeftover);

  async function run(
    volume: Partial<VolumeRow>,
    prepare: (world: VolumeWorld) => Promise<Partial<VolumeRow> | undefined>,
  ): Promise<{ world: VolumeWorld; row: VolumeRow }> {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, control } = tools;
    const world = new VolumeWorld(bound, tools, [removeLeftover]);
    const more = await prepare(world);
    const { id } = await world.volume({ ...NOWHERE, ...volume, ...more });
    await store.tx((t) => control.start(t, definition, { input: { volumeId: id }, resourceId: id }));
    await world.drain([definition]);
    return { world, row: await world.row(id) };
  }

  it("goes where the most room is, or ends in error with a message when nothing fits", async () => {
    const placed = await run({ size_gib: 10 }, async (world) => {
      await world.backend("a@r", null, 20);
      await world.backend("b@r", null, 30);
      return undefined;
    });
    assert.deepEqual([placed.row.host, placed.row.status], ["b@r#r", "available"]);
    for (const { why, ...volume } of [
      { size_gib: 31, why: "1 in zone nova, 1 not tried in vain, 1 whose storage works, 0 with 31 GiB free" },
      { zone: "elsewhere", why: "0 in zone elsewhere" },
    ]) {
      const { world, row } = await run(volume, async (given) => {
        await given.backend("b@r", null, 30);
        return undefined;
      });
      assert.deepEqual([row.host, row.status, await world.messages()], [null, "error", [NO_BACKEND]]);
      assert.deepEqual(world.arrays.told, []);
      const { reason } = await world.faultOf(row.id);
      assert.equal(reason, `1 pools up, enabled and not frozen, ${why}`);
    }
  });

  it("is tried elsewhere when a backend fails, as often as the scheduler may, and leaves nothing behind", async () => {
    const backends = ["a@r", "b@r", "c@r", "d@r"];
    const full = async (world: VolumeWorld, ...hosts: string[]) => {
      for (const [index, host] of backends.entries()) await world.backend(host, null, 90 - index);
      for (const host of hosts) world.arrays.of(host).capacity = 0;
      return undefined;
    };
    const second = await run({}, (world) => full(world, "a@r"));
    assert.deepEqual([second.row.host, second.row.status], ["b@r#r", "available"]);
    await second.world.expectLeft(`b@r ${second.row.id} 1`);
    const never = await run({}, (world) => full(world, "a@r", "b@r", "c@r"));
    assert.deepEqual([never.row.host, never.row.status, await never.world.messages()], [null, "error", [NO_ROOM]]);
    assert.deepEqual(
      never.world.arrays.told.filter((told) => told.endsWith("volume.ensure")),
      ["a@r", "b@r", "c@r"].map((scope) => `${scope} volume.ensure`),
    );
    await never.world.expectLeft();
  });

  it("that is refused for itself is not tried elsewhere", async () => {
    const { world, row } = await run({}, async (given) => {
      await given.backend("a@r", null, 90);
      await given.backend("b@r");
      for (const scope of ["a@r", "b@r"])
        given.arrays.of(scope).refusal = new CloudError("invalid", "storage.image_unsafe", "No.");
      return undefined;
    });
    assert.equal(row.status, "error");
    assert.deepEqual(world.arrays.told[0], "b@r volume.ensure");
    assert.equal(world.arrays.told.filter((told) => told.endsWith("volume.ensure")).length, 1);
  });

  it("is made where its source is", async () => {
    const copied = await run({}, async (world) => {
      await world.backend("a@r", null, 90);
      await world.backend("b@r", null, 10);
      return { source_volume_id: (await world.volume({ host: "b@r#r" })).id };
    });
    assert.deepEqual([copied.row.host, copied.row.status], ["b@r#r", "available"]);
    const restored = await run({}, async (world) => {
      await world.backend("a@r", null, 90);
      await world.backend("b@r", "pileus@r", 10);
      const source = await world.volume({ host: "b@r#r", cluster_name: "pileus@r#r" });
      return { snapshot_id: (await world.snapshot(source)).id };
    });
    assert.deepEqual([restored.row.cluster_name, restored.row.status], ["pileus@r#r", "available"]);
  });
});
