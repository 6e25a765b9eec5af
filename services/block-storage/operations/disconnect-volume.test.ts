import assert from "node:assert/strict";
import { it } from "node:test";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { reserve } from "../store/attaching.ts";
import { detachAll } from "../store/attachments.ts";
import { transition } from "../store/volumes.ts";
import { disconnectVolumeOperation } from "./disconnect-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

onBothStores("a client that lets go of a volume late", (open) => {
  const bound = new BoundVolumeTools();
  const definition = disconnectVolumeOperation(bound);

  for (const when of ["before", "while"] as const) {
    it(`leaves the volume served to Compute, which reserved it ${when} the backend is told`, async () => {
      const tools = worldTools((await open(backendWorldMigrations)).store);
      const { store, clock, control, ids } = tools;
      const world = new VolumeWorld(bound, tools);
      await world.backend("a@r");
      const { id } = await world.volume({ host: "a@r#r", status: "available" });
      const array = world.arrays.of("a@r");
      array.served.add(id);
      /** An administrator has made it available meanwhile. */
      const computeReserves = () =>
        store.tx(async (t) => {
          await detachAll(t, id);
          await transition(t, { clock, id, from: null, to: { status: "available" }, action: "reset" });
          await reserve(t, tools, { volumeId: id, serverId: ids.uuid(), mode: null, heldByCompute: true });
        });
      if (when === "before") await computeReserves();
      else {
        array.before = async (verb) => {
          if (verb === "volume.ensureNotExported") await computeReserves();
        };
      }
      const start = {
        input: { volumeId: id, attachmentIds: [ids.uuid()], removes: false, force: false },
        resourceId: id,
      };
      await store.tx((t) => control.start(t, definition, { ...start, projectId: "p1" }));
      await world.drain([definition]);
      assert.deepEqual(await world.attachments(), ["reserved - -"]);
      await world.expectLeft(`a@r ${id} 1 served`);
    });
  }
});
