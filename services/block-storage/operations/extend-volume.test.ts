import assert from "node:assert/strict";
import { it } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { showOperation } from "../../../kernel/operations/queries.ts";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { extendVolumeOperation } from "./extend-volume.ts";
import { tellSizeOperation } from "./tell-size.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

onBothStores("an extension", (open) => {
  const bound = new BoundVolumeTools();
  const definition = extendVolumeOperation(bound, tellSizeOperation());

  it("that was overtaken at the agent by another operation is asked for again, and is not refused", async () => {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, control, clock } = tools;
    const world = new VolumeWorld(bound, tools);
    await world.backend("a@r");
    const { id } = await world.volume({ host: "a@r#r", status: "extending", previous_status: "available" });
    let overtaken = 0;
    world.arrays.of("a@r").before = async () => {
      overtaken += 1;
      if (overtaken === 1)
        throw new CloudError("conflict", "fleet.stale_epoch", "A newer holder of this operation has taken over.");
    };
    const input = { volumeId: id, sizeGiB: 2, growth: {} };
    await store.tx((t) => control.start(t, definition, { input, resourceId: id, projectId: "p1" }));
    await world.drain([definition]);
    assert.equal((await world.row(id)).status, "extending");
    clock.advance(60_000);
    await world.drain([definition]);
    const { status, size_gib } = await world.row(id);
    assert.deepEqual([status, size_gib, overtaken], ["available", 2, 2]);
  });

  it("that the backend refuses shows with what", async () => {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, control } = tools;
    const world = new VolumeWorld(bound, tools);
    await world.backend("a@r");
    const { id } = await world.volume({ host: "a@r#r", status: "extending", previous_status: "available" });
    world.arrays.of("a@r").refusal = new CloudError("conflict", "storage.broken", "No.");
    const input = { volumeId: id, sizeGiB: 2, growth: {} };
    const begun = await store.tx((t) => control.start(t, definition, { input, resourceId: id, projectId: "p1" }));
    await world.drain([definition]);
    assert.equal((await world.row(id)).status, "error_extending");
    const shown = await showOperation(store.read, begun);
    assert.deepEqual([shown?.operation.state, shown?.operation.detail], ["done", { refused: "storage.broken" }]);
  });
});
