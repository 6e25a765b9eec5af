import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { extendVolumeOperation } from "./extend-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = extendVolumeOperation(bound);

for (const [name, sizeGiB] of [
  ["with room", 5],
  ["without room", 500],
] as const) {
  let id = "";
  faultMatrix(definition, {
    name,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      id = (await world.volume({ host: "a@r#r", status: "extending", size_gib: 2 })).id;
      return { input: { volumeId: id, sizeGiB, growth: {} }, resourceId: id };
    },
    async afterSuccess(world) {
      const fits = sizeGiB === 5;
      const { status, size_gib } = await world.row(id);
      assert.deepEqual([status, size_gib], ["available", fits ? 5 : 2]);
      assert.deepEqual(await world.messages(), fits ? [] : ["extend volume: The backend has not enough room."]);
      await world.expectLeft(`a@r ${id} ${fits ? 5 : 2}`);
    },
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
