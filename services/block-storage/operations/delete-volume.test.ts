import assert from "node:assert/strict";
import { it } from "node:test";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { deleteSnapshotOperation } from "./delete-snapshot.ts";
import { deleteVolumeOperation } from "./delete-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

onBothStores("a removal that waits for an array with a second copy", (open) => {
  const bound = new BoundVolumeTools();
  const deleteVolume = deleteVolumeOperation(bound);
  const deleteSnapshot = deleteSnapshotOperation(bound);
  const definitions = [deleteVolume, deleteSnapshot];
  const AWAY = "A copy is on an array that cannot be reached; it is removed once the array is back.";

  for (const what of ["a volume", "a volume with its snapshot", "a snapshot"] as const) {
    it(`says so once to the owner of ${what}`, async () => {
      const tools = worldTools((await open(backendWorldMigrations)).store);
      const world = new VolumeWorld(bound, tools, definitions);
      const { store, control, clock } = tools;
      await world.backend("a@r");
      const status = what === "a snapshot" ? ("available" as const) : ("deleting" as const);
      const volume = await world.volume({ host: "a@r#r", status });
      const { id: volumeId } = volume;
      const snapshotId = what === "a volume" ? "" : (await world.snapshot(volume)).id;
      world.arrays.of("a@r").loseCopies(4);
      await store.tx(async (t) => {
        if (what === "a snapshot")
          return await control.start(t, deleteSnapshot, { input: { snapshotId }, resourceId: snapshotId });
        const input = { volumeId, cascade: snapshotId !== "" };
        return await control.start(t, deleteVolume, { input, resourceId: volumeId });
      });
      for (let tries = 0; tries < 8; tries += 1) {
        await world.drain([]);
        clock.advance(60_000);
      }
      const action = what === "a snapshot" ? "delete snapshot" : "delete volume";
      assert.deepEqual(await world.messages(), [`${action}: ${AWAY}`]);
      await world.expectLeft(...(what === "a snapshot" ? [`a@r ${volumeId} 1`] : []));
    });
  }
});
