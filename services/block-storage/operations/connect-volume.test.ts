import assert from "node:assert/strict";
import { it } from "node:test";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { transition } from "../store/volumes.ts";
import { connectVolumeOperation } from "./connect-volume.ts";
import { backendWorldMigrations } from "./testing/backend-world.ts";
import { BoundVolumeTools, VolumeWorld } from "./testing/volume-world.ts";

onBothStores("a client that connects to a volume without an attachment", (open) => {
  const bound = new BoundVolumeTools();
  const definition = connectVolumeOperation(bound);

  it("is not served when the volume is no longer kept for anybody", async () => {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, clock, control } = tools;
    const world = new VolumeWorld(bound, tools);
    await world.backend("a@r");
    const { id } = await world.volume({ host: "a@r#r", status: "attaching" });
    const unreserve = () =>
      store.tx((t) =>
        transition(t, { clock, id, from: ["attaching"], to: { status: "available" }, action: "unreserve" }),
      );
    world.arrays.of("a@r").before = async (verb) => void (verb === "volume.ensureExported" && (await unreserve()));
    const said = { host: "h", mountpoint: "/dev/vdb", mode: null, connector: { host: "h" } };
    const input = { volumeId: id, attachmentId: null, ...said, releases: false };
    await store.tx((t) => control.start(t, definition, { input, resourceId: id }));
    await world.drain([definition]);
    assert.equal((await world.faultOf(id)).code, "block-storage.volume_status");
    await world.expectLeft(`a@r ${id} 1`);
  });
});
