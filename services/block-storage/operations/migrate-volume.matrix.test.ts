import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { migrateVolumeOperation } from "./migrate-volume.ts";
import { removeLeftoverOperation } from "./remove-leftover.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const removeLeftover = removeLeftoverOperation(bound);
const definition = migrateVolumeOperation(bound, removeLeftover);

for (const [name, cluster, status] of [
  ["to a host", null, "available"],
  ["to a cluster, locked", "pileus@r", "maintenance"],
  ["under a guest", null, "in-use"],
] as const) {
  let id = "";
  const before = status === "in-use" ? status : "available";
  const served = status === "in-use" ? " served" : "";
  faultMatrix(definition, {
    name,
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools, [removeLeftover]),
    async given(world) {
      await world.backend("a@r");
      await world.backend("b@r", cluster);
      const moving = { status, previous_status: before, migration_status: "starting" } as const;
      id = (await world.volume({ host: "a@r#r", size_gib: 3, ...moving })).id;
      if (served !== "") await world.attachment(id, "host-9");
      const destination = cluster === null ? { host: "b@r#r" } : { cluster };
      return { input: { volumeId: id, destination }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status: now, host, cluster_name, migration_status } = await world.row(id);
      const place = cluster === null ? null : `${cluster}#r`;
      assert.deepEqual([now, host, cluster_name, migration_status], [before, "b@r#r", place, "success"]);
      await world.expectLeft(`${cluster ?? "b@r"} ${id} 3${served}`);
      assert.equal(world.arrays.of(cluster ?? "b@r").volumes.get(id)?.source, "empty");
    },
    async afterUnwind(world) {
      const { status: now, host, migration_status } = await world.row(id);
      assert.deepEqual([now, host, migration_status], [before, "a@r#r", "error"]);
      await world.expectLeft(`a@r ${id} 3${served}`);
    },
  });
}
