import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { createVolumeOperation } from "./create-volume.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const removeLeftover = removeLeftoverOperation(bound);
const definition = createVolumeOperation(bound, removeLeftover);

for (const [name, cluster] of [
  ["on a host", null],
  ["in a cluster", "pileus@r"],
] as const) {
  let id = "";
  faultMatrix(definition, {
    name,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools, [removeLeftover]),
    async given(world) {
      await world.backend("a@r", cluster);
      await world.backend("b@small", null, 1);
      const nowhere = { host: null, replication_status: null, launched_at: null };
      id = (await world.volume({ ...nowhere, status: "creating", size_gib: 3 })).id;
      return { input: { volumeId: id }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status, host, cluster_name, replication_status } = await world.row(id);
      const place = cluster === null ? null : `${cluster}#r`;
      assert.deepEqual([status, host, cluster_name, replication_status], ["available", "a@r#r", place, "disabled"]);
      await world.expectLeft(`${cluster ?? "a@r"} ${id} 3`);
    },
    async afterUnwind(world) {
      const { status, host, cluster_name } = await world.row(id);
      assert.deepEqual([status, host, cluster_name], ["error", null, null]);
      assert.equal((await world.messages()).length, 1);
      await world.expectLeft();
    },
  });
}
