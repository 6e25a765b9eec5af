import assert from "node:assert/strict";
import { it } from "node:test";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { manageVolumeOperation } from "./manage-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, givenManaging, STRAY, VolumeWorld } from "./testing/volume-world.ts";

const UNKNOWN = "manage existing volume: An unknown error occurred.";

onBothStores("data that cannot be managed", (open) => {
  const bound = new BoundVolumeTools();
  const definition = manageVolumeOperation(bound);

  async function expectFailed(
    prepare: (world: VolumeWorld) => void | Promise<void>,
    { reference = STRAY, message = UNKNOWN, left }: { reference?: string; message?: string; left: string[] },
  ): Promise<void> {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, control } = tools;
    const world = new VolumeWorld(bound, tools);
    const id = await givenManaging(world);
    await prepare(world);
    const start = { input: { volumeId: id, reference }, resourceId: id, projectId: "p1" };
    await store.tx((t) => control.start(t, definition, start));
    await world.drain([definition]);
    const { status, size_gib, consumes_quota } = await world.row(id);
    assert.deepEqual([status, size_gib, consumes_quota], ["error_managing", 0, 0]);
    assert.deepEqual(await world.messages(), [message]);
    await world.expectLeft(...left);
  }

  it("because there is none of that name", () => expectFailed(() => {}, { left: [] }));

  it("because it is a volume already", () => {
    const taken = "0c0b3cba-9c62-4a0c-9a39-2e1a8a3c2f4e";
    return expectFailed(
      (world) => void world.arrays.of("a@r").volumes.set(taken, { sizeGiB: 2, replicated: false, source: "empty" }),
      { reference: `${taken}.raw`, left: [`a@r ${taken} 2`] },
    );
  });

  it("because it is more than the project may have", () =>
    expectFailed(
      async (world) => {
        world.arrays.of("a@r").stray.set(STRAY, 3);
        const limit = { project_id: "p1", resource: "gigabytes", hard_limit: 2 };
        const { store } = world.tools;
        await store.tx((t) => t.tables<BlockStorageTables>().insertInto("volume_quotas").values(limit).execute());
      },
      {
        message: "manage existing volume: Not enough quota resource for operation.",
        left: [`a@r data ${STRAY} 3`],
      },
    ));

  it("because somebody else has just made it a volume", () =>
    expectFailed(
      (world) => {
        const array = world.arrays.of("a@r");
        array.stray.set(STRAY, 3);
        array.before = (verb) => void (verb === "volume.adopt" && array.stray.clear());
      },
      { left: [] },
    ));
});
