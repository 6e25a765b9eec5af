import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

onBothStores("a server whose guest is being looked for", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.givenHost("host-2");
  });
  after(() => world.close());

  it("what is asked for next is accepted once the guest is found; 409 at once only where a host is silent", async () => {
    const server = await world.givenServer();
    const input = { serverId: server.id, host: "host-2", mayAdopt: true };
    const cleanup = await world.store.tx((t) =>
      world.deps.kernel.operations.start(t, world.deps.operations.cleanup, { input, resourceId: server.id }),
    );
    const set = (state: "waiting" | "ready") =>
      world.store.tx((t) =>
        t.tables<OperationTables>().updateTable("operations").set({ state }).where("id", "=", cleanup).execute(),
      );
    await set("waiting");
    const refused = await world.act("admin", server.id, { migrate: null });
    assert.deepEqual([refused.status, refused.body.conflictingRequest?.code], [409, 409]);
    await set("ready");
    let answered = false;
    const asked = world.act("admin", server.id, { migrate: null }).finally(() => {
      answered = true;
    });
    // A request that does not wait would have been answered before this one.
    assert.equal((await world.act("admin", server.id, { lock: null })).status, 202);
    assert.equal(answered, false);
    await world.store.tx((t) => world.deps.kernel.operations.abandon(t, cleanup));
    assert.equal((await asked).status, 202);
    assert.equal((await world.server(server.id)).task_state, "resize_prep");
  });
});
