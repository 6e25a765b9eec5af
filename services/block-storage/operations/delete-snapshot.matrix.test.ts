import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { deleteSnapshotOperation } from "./delete-snapshot.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = deleteSnapshotOperation(bound);

let id = "";
let volumeId = "";
faultMatrix(definition, {
  migrations: backendWorldMigrations,
  world: (tools) => new VolumeWorld(bound, tools),
  async given(world) {
    await world.backend("a@r");
    const volume = await world.volume({ host: "a@r#r" });
    volumeId = volume.id;
    id = (await world.snapshot(volume)).id;
    return { input: { snapshotId: id }, resourceId: id };
  },
  async afterSuccess(world) {
    const { status, deleted_at } = await world.snapshotRow(id);
    assert.equal(status, "deleted");
    assert.notEqual(deleted_at, null);
    await world.expectLeft(`a@r ${volumeId} 1`);
  },
  afterUnwind: () => assert.fail("it only goes forward"),
});
