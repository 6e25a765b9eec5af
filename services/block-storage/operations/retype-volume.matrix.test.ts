import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { DEFAULT_TYPE_ID } from "../store/tables.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { retypeVolumeOperation } from "./retype-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const removeLeftover = removeLeftoverOperation(bound);
const definition = retypeVolumeOperation(bound, removeLeftover);

for (const moves of [true, false]) {
  let [id, typeId] = ["", ""];
  faultMatrix(definition, {
    name: moves ? "with a move" : "in place",
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools, [removeLeftover]),
    async given(world) {
      await world.backend("a@r");
      await world.backend("b@fast");
      typeId = await world.type({ volume_backend_name: moves ? "fast" : "r" });
      const row = { host: "a@r#r", size_gib: 3, status: "retyping", previous_status: "available" } as const;
      id = (await world.volume(row)).id;
      return { input: { volumeId: id, typeId, mayMove: moves, growth: {} }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status, host, type_id, migration_status } = await world.row(id);
      const place = moves ? "b@fast" : "a@r";
      const pool = place.slice(2);
      assert.deepEqual([status, host, type_id, migration_status], ["available", `${place}#${pool}`, typeId, null]);
      await world.expectLeft(`${place} ${id} 3`);
    },
    async afterUnwind(world) {
      const { status, host, type_id, migration_status } = await world.row(id);
      assert.deepEqual([status, host, type_id], ["available", "a@r#r", DEFAULT_TYPE_ID]);
      assert.ok(migration_status === null || migration_status === "error");
      assert.equal((await world.messages()).length, 1);
      await world.expectLeft(`a@r ${id} 3`);
    },
  });
}
