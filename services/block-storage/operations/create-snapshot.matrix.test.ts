import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { createSnapshotOperation } from "./create-snapshot.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = createSnapshotOperation(bound);

let id = "";
let volumeId = "";
faultMatrix(definition, {
  migrations: backendWorldMigrations,
  world: (tools) => new VolumeWorld(bound, tools),
  async given(world) {
    await world.backend("a@r");
    const volume = await world.volume({ host: "a@r#r" });
    volumeId = volume.id;
    id = (await world.snapshot(volume, { status: "creating", progress: "0%" })).id;
    return { input: { snapshotId: id }, resourceId: id };
  },
  async afterSuccess(world) {
    const { status, deleted_at } = await world.snapshotRow(id);
    assert.deepEqual([status, deleted_at], ["available", null]);
    await world.expectLeft(`a@r ${volumeId} 1`, `a@r snapshot ${id}`);
  },
  afterUnwind: () => assert.fail("it only goes forward"),
});
