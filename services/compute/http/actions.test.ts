import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

onBothStores("server actions", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.givenHost("host-2");
  });
  after(() => world.close());

  describe("injectNetworkInfo and resetNetwork", () => {
    for (const key of ["injectNetworkInfo", "resetNetwork"]) {
      it(`${key}: accepted in any state, with any value, without an instance action`, async () => {
        const server = await world.givenServer({ vm_state: "error", task_state: "migrating" });
        for (const value of [null, {}, "anything"]) {
          const answer = await world.act("admin", server.id, { [key]: value });
          assert.equal(answer.status, 202, JSON.stringify(answer.body));
          assert.equal(answer.body, undefined);
        }
        assert.equal((await liveOperations(world.store.read, server.id)).length, 3);
        const actions = await world.ask("admin", "GET", `/servers/${server.id}/os-instance-actions`);
        assert.deepEqual(actions.body, { instanceActions: [] });
      });

      it(`${key}: 403, 404, 409 and 400`, async () => {
        const server = await world.givenServer();
        const unplaced = await world.givenServer({ host: null });
        const missing = world.ids.uuid();
        assert.equal((await world.act("manager", server.id, { [key]: null })).status, 403);
        assert.equal((await world.act("admin", missing, { [key]: null })).status, 404);
        assert.equal((await world.act("admin", unplaced.id, { [key]: null })).status, 409);
        assert.equal((await world.act("admin", server.id, { [key]: null, other: 1 })).status, 400);
        assert.equal((await world.act("admin", server.id, "[]")).status, 400);
      });
    }
  });
});
