import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { extendVolumeOperation } from "./extend-volume.ts";
import { tellSizeOperation } from "./tell-size.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const tellSize = tellSizeOperation();
const definition = extendVolumeOperation(bound, tellSize);

for (const [name, sizeGiB, before] of [
  ["with room", 5, "available"],
  ["of a guest's disk", 5, "in-use"],
  ["without room", 500, "available"],
] as const) {
  let id = "";
  faultMatrix(definition, {
    name,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools, [tellSize]),
    async given(world) {
      await world.backend("a@r");
      id = (await world.volume({ host: "a@r#r", status: "extending", previous_status: before, size_gib: 2 })).id;
      if (before === "in-use") await world.attachment(id, "host-9");
      return { input: { volumeId: id, sizeGiB, growth: {} }, resourceId: id };
    },
    async afterSuccess(world) {
      const fits = sizeGiB === 5;
      const { status, size_gib } = await world.row(id);
      assert.deepEqual([status, size_gib], [before, fits ? 5 : 2]);
      assert.deepEqual(await world.messages(), fits ? [] : ["extend volume: The backend has not enough room."]);
      await world.expectLeft(`a@r ${id} ${fits ? 5 : 2}${before === "in-use" ? " served" : ""}`);
      const told = before === "in-use" ? ["host-9 compute.ensureVolumeSize 5 GiB"] : [];
      assert.deepEqual(
        world.arrays.told.filter((each) => each.includes("compute.")),
        told,
      );
    },
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
