import assert from "node:assert/strict";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";
import { unmanageVolumeOperation } from "./unmanage-volume.ts";

const bound = new BoundVolumeTools();
const definition = unmanageVolumeOperation(bound);

for (const refused of [false, true]) {
  let id = "";
  faultMatrix(definition, {
    name: refused ? "refused" : "accepted",
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      const row = { host: "a@r#r", status: "unmanaging", previous_status: "available", size_gib: 2 } as const;
      id = (await world.volume(row)).id;
      if (refused)
        world.arrays.of("a@r").refusal = new CloudError("conflict", "storage.volume_in_use", "It is served.");
      return { input: { volumeId: id }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status, deleted_at } = await world.row(id);
      if (refused) {
        assert.deepEqual([status, deleted_at], ["available", null]);
        assert.deepEqual(await world.messages(), ["unmanage volume: An unknown error occurred."]);
        await world.expectLeft(`a@r ${id} 2`);
        return;
      }
      assert.notEqual(deleted_at, null);
      await world.expectLeft(`a@r data ${id}.raw 2`);
    },
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
