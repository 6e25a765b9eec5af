import assert from "node:assert/strict";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { attached, beginDetaching, connected, reserve } from "../store/attaching.ts";
import { transitionAttachment } from "../store/attachments.ts";
import { disconnectVolumeOperation } from "./disconnect-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

const bound = new BoundVolumeTools();
const definition = disconnectVolumeOperation(bound);

for (const refused of [false, true]) {
  let id = "";
  faultMatrix(definition, {
    name: refused ? "which the backend refuses" : "which the backend does",
    migrations: backendWorldMigrations,
    world: (tools) => new VolumeWorld(bound, tools),
    async given(world) {
      await world.backend("a@r");
      id = (await world.volume({ host: "a@r#r" })).id;
      const array = world.arrays.of("a@r");
      array.served.add(id);
      if (refused) array.refusal = new CloudError("conflict", "storage.volume_in_use", "No.");
      const connection = { kind: "unix", path: "/run/v", export: "v" } as const;
      const attachmentIds = await world.tools.store.tx(async (t) => {
        const wanted = { volumeId: id, serverId: null, mode: null, heldByCompute: false };
        const { id: attachmentId } = await reserve(t, world.tools, wanted);
        const said = { host: "h", mountpoint: "/dev/vdb", mode: null, connector: null };
        await connected(t, world.tools, { attachmentId, ...said, connection });
        await attached(t, world.tools, attachmentId);
        await beginDetaching(t, world.tools, id);
        await transitionAttachment(t, world.tools.clock, attachmentId, { attach_status: "detaching" });
        return [attachmentId];
      });
      return { input: { volumeId: id, attachmentIds, removes: true, force: false }, resourceId: id };
    },
    async afterSuccess(world) {
      const { status, attach_status } = await world.row(id);
      const seen = [status, attach_status, await world.attachments()];
      assert.deepEqual(seen, refused ? ["in-use", "attached", ["attached rw h"]] : ["available", "detached", []]);
      await world.expectLeft(`a@r ${id} 1${refused ? " served" : ""}`);
    },
    afterUnwind: () => assert.fail("it only goes forward"),
  });
}
