import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = removeLeftoverOperation(bound);

for (const lives of [false, true]) {
  let id = "";
  faultMatrix(definition, {
    name: lives ? "that is in use" : "of nothing",
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      id = (await world.volume({ host: "a@r#r", deleted_at: lives ? null : 1 })).id;
      const target = { backend: "r", to: { host: "a" } };
      return { input: { volumeId: id, scope: "a@r", target }, resourceId: id };
    },
    afterSuccess: (world) => (lives ? world.expectLeft(`a@r ${id} 1`) : world.expectLeft()),
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
