import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { deleteVolumeOperation } from "./delete-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = deleteVolumeOperation(bound);

for (const [cascade, away] of [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
]) {
  let id = "";
  let snapshot = "";
  faultMatrix(definition, {
    name: `${cascade ? "with snapshots" : "alone"}${away ? ", whose copy is away at first" : ""}`,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      const volume = await world.volume({ host: "a@r#r", status: "deleting" });
      id = volume.id;
      if (cascade) snapshot = (await world.snapshot(volume)).id;
      if (away) world.arrays.of("a@r").loseCopies(3);
      return { input: { volumeId: id, cascade }, resourceId: id };
    },
    async afterSuccess(world) {
      assert.notEqual((await world.row(id)).deleted_at, null);
      if (cascade) assert.notEqual((await world.snapshotRow(snapshot)).deleted_at, null);
      // None where a fault made its first try come again until the array was back.
      assert.ok((await world.messages()).length <= (away ? 1 : 0));
      await world.expectLeft();
    },
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
