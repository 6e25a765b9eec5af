import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { type Answer, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { reserveQuota } from "../store/volume-quotas.ts";
import { getVolume, transition } from "../store/volumes.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

/** A request that does not wait for the volume's lock has read what it reckons with by then. */
const READS = 100;

onBothStores("actions on a volume that is just being changed", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
  });
  after(() => world.close());

  /** The answer to an action that is asked for while the change has not been committed. */
  async function meanwhile(id: string, body: object, change: (t: Tx) => Promise<unknown>): Promise<Answer> {
    const { asking } = await world.store.tx(async (t) => {
      await change(t);
      const pending = world.ask("admin", "POST", `/volumes/${id}/action`, { version: "3.0", body });
      for (let n = 0; n < READS; n += 1) await getVolume(world.store.read, id);
      return { asking: pending };
    });
    return await asking;
  }

  it("a reset keeps what has just been noted", async () => {
    const { id } = await world.givenVolume({ admin_metadata: JSON.stringify({ attached_mode: "rw" }) });
    const set = { admin_metadata: JSON.stringify({ attached_mode: "rw", readonly: "True" }) };
    const { status } = await meanwhile(id, { "os-reset_status": { attach_status: "detached" } }, (t) =>
      transition(t, { clock: world.clock, id, from: null, to: { set }, action: "test" }),
    );
    assert.equal(status, 202);
    assert.deepEqual(JSON.parse((await world.volume(id)).admin_metadata), { readonly: "True" });
  });

  it("an extension reckons with the size that the one before it has made", async () => {
    const { id } = await world.givenVolume({ status: "extending", size_gib: 2 });
    const to = { status: "available" as const, set: { size_gib: 5 } };
    const { status } = await meanwhile(id, { "os-extend": { new_size: 3 } }, async (t) => {
      // Lets the other request come as far as to its own check of the quota.
      await reserveQuota(t, PROJECT, {});
      await transition(t, { clock: world.clock, id, from: null, to, action: "test" });
    });
    assert.equal(status, 400);
    const { status: state, size_gib } = await world.volume(id);
    assert.deepEqual([state, size_gib], ["available", 5]);
  });
});
