import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { reserve } from "../store/attaching.ts";
import { connectVolumeOperation } from "./connect-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = connectVolumeOperation(bound);

for (const releases of [false, true]) {
  let id = "";
  faultMatrix(definition, {
    name: releases ? "whose attachment came with it" : "of an attachment that was there",
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      id = (await world.volume({ host: "a@r#r" })).id;
      const wanted = { volumeId: id, serverId: null, mode: null, heldByCompute: false };
      const { id: attachmentId } = await world.tools.store.tx((t) => reserve(t, world.tools, wanted));
      const said = { host: "h", mountpoint: "/dev/vdb", mode: null, connector: { host: "h" } };
      return { input: { volumeId: id, attachmentId, ...said, releases }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status } = await world.row(id);
      assert.deepEqual([status, await world.attachments()], ["attaching", ["attaching rw h"]]);
      await world.expectLeft(`a@r ${id} 1 served`);
    },
    async afterUnwind(world) {
      const { status } = await world.row(id);
      const expected = releases ? ["available", []] : ["reserved", ["reserved - -"]];
      assert.deepEqual([status, await world.attachments()], expected);
      await world.expectLeft(`a@r ${id} 1`);
    },
  });
}
