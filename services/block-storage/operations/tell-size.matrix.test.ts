import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { tellSizeOperation } from "./tell-size.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
let id = "";

faultMatrix(tellSizeOperation(), {
  migrations: backendWorldMigrations,
  world: (tools) => new VolumeWorld(bound, tools),
  async given(world) {
    await world.backend("a@r");
    id = (await world.volume({ host: "a@r#r", status: "in-use", attach_status: "attached", size_gib: 5 })).id;
    await world.attachment(id, "host-9");
    return { input: { volumeId: id }, resourceId: id };
  },
  async afterSuccess(world) {
    assert.ok(world.arrays.told.includes("host-9 compute.ensureVolumeSize 5 GiB"));
    await world.expectLeft(`a@r ${id} 5 served`);
  },
  afterUnwind: () => assert.fail("it only goes forward"),
});
