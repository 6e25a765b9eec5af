import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { publicVolumes } from "../public-volumes.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { deleteType, insertType, lockType } from "../store/volume-types.ts";
import { getVolume } from "../store/volumes.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

/** A request that does not wait for the type's lock has read what it reckons with by then. */
const READS = 100;

onBothStores("a type that is deleted while a volume of it is asked for", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenBackend("host-1@fast");
  });
  after(() => world.close());

  /** What is asked for while the type's deletion has not been committed; no volume of it may come of that. */
  async function meanwhile<T>(ask: (type: string) => Promise<T>): Promise<T> {
    const id = world.ids.uuid();
    const { id: other } = await world.givenVolume();
    const row = { id, name: `type-${id}`, description: null, is_public: 1, extra_specs: "{}", qos_specs_id: null };
    await world.store.tx((t) => insertType(t, { ...row, created_at: world.clock.now(), updated_at: null }));
    const { asking } = await world.store.tx(async (t) => {
      await lockType(t, id);
      await deleteType(t, id);
      const pending = ask(id);
      for (let n = 0; n < READS; n += 1) await getVolume(world.store.read, other);
      return { asking: pending };
    });
    const answer = await asking;
    const db = world.store.read.tables<BlockStorageTables>();
    assert.deepEqual(await db.selectFrom("volumes").select("id").where("type_id", "=", id).execute(), []);
    return answer;
  }

  it("is not found by a creation", async () => {
    const { status } = await meanwhile((volume_type) =>
      world.ask("member", "POST", "/volumes", { body: { volume: { size: 1, volume_type } } }),
    );
    assert.equal(status, 404);
  });

  it("is not found by one who manages data", async () => {
    const volume = { host: "host-1@fast#fast", ref: { "source-name": "found.raw" } };
    const { status } = await meanwhile((volume_type) =>
      world.ask("admin", "POST", "/os-volume-manage", { body: { volume: { ...volume, volume_type } } }),
    );
    assert.equal(status, 400);
  });

  it("is not found by Compute", async () => {
    const wanted = { projectId: PROJECT, userId: "u", isAdmin: false, requestId: null, name: "data", sizeGiB: 1 };
    const volumes = publicVolumes(world.deps);
    const code = await meanwhile((type) =>
      world.store
        .tx((t) => volumes.create(t, { ...wanted, type, source: { kind: "blank" } }))
        .catch((error: { code?: string }) => error.code),
    );
    assert.equal(code, "block-storage.type_not_found");
  });
});
