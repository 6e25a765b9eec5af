import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { manageVolumeOperation } from "./manage-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, givenManaging, STRAY, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = manageVolumeOperation(bound);
let id = "";

faultMatrix(definition, {
  migrations: backendWorldMigrations,
  world: (tools) => new VolumeWorld(bound, tools),
  async given(world) {
    id = await givenManaging(world);
    world.arrays.of("a@r").stray.set(STRAY, 3);
    return { input: { volumeId: id, reference: STRAY }, resourceId: id, projectId: "p1" };
  },
  async afterSuccess(world) {
    const { status, size_gib, consumes_quota } = await world.row(id);
    assert.deepEqual([status, size_gib, consumes_quota], ["available", 3, 1]);
    await world.expectLeft(`a@r ${id} 3`);
  },
  async afterUnwind(world) {
    const { status, size_gib, consumes_quota } = await world.row(id);
    assert.deepEqual([status, size_gib, consumes_quota], ["error_managing", 0, 0]);
    assert.equal((await world.messages()).length, 1);
    await world.expectLeft(`a@r data ${STRAY} 3`);
  },
});
