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

for (const [name, moves, before] of [
  ["with a move", true, "available"],
  ["with a move under a guest", true, "in-use"],
  ["in place", false, "available"],
] as const) {
  const served = before === "in-use" ? " served" : "";
  let [id, typeId] = ["", ""];
  faultMatrix(definition, {
    name,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools, [removeLeftover]),
    async given(world) {
      await world.backend("a@r");
      await world.backend("b@fast");
      typeId = await world.type({ volume_backend_name: moves ? "fast" : "r" });
      const row = { host: "a@r#r", size_gib: 3, status: "retyping", previous_status: before } as const;
      id = (await world.volume(row)).id;
      if (served !== "") await world.attachment(id, "host-9");
      return { input: { volumeId: id, typeId, mayMove: moves, growth: {} }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status, host, type_id, migration_status } = await world.row(id);
      const place = moves ? "b@fast" : "a@r";
      const pool = place.slice(2);
      assert.deepEqual([status, host, type_id, migration_status], [before, `${place}#${pool}`, typeId, null]);
      await world.expectLeft(`${place} ${id} 3${served}`);
    },
    async afterUnwind(world) {
      const { status, host, type_id, migration_status } = await world.row(id);
      assert.deepEqual([status, host, type_id], [before, "a@r#r", DEFAULT_TYPE_ID]);
      assert.ok(migration_status === null || migration_status === "error");
      assert.equal((await world.messages()).length, 1);
      await world.expectLeft(`a@r ${id} 3${served}`);
    },
  });
}
