import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { insertMessage } from "../store/messages.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

const DAY = 24 * 3_600_000;

onBothStores("messages", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
  });
  after(() => world.close());

  const given = async (projectId: string) => {
    const about = { projectId, requestId: null, resource: "VOLUME", resourceId: world.ids.uuid() } as const;
    await world.store.tx((t) => insertMessage(t, world, { ...about, action: "create", detail: "noSpace" }));
    world.clock.advance(1000);
  };
  const page = async (query = "", who: "member" | "stranger" = "member") => {
    const { status, body } = await world.ask(who, "GET", `/messages${query}`, { version: "3.71" });
    return { status, ids: ((body.messages ?? []) as { id: string }[]).map(({ id }) => id) };
  };

  it("are read page by page, and no page is read behind one that is not there, or no more", async () => {
    for (const project of [PROJECT, PROJECT, OTHER_PROJECT, PROJECT]) await given(project);
    const { ids } = await page();
    assert.equal(ids.length, 3);
    assert.deepEqual((await page(`?limit=2&marker=${ids[0]}`)).ids, ids.slice(1));
    const [theirs] = (await page("", "stranger")).ids;
    assert.ok(theirs);
    for (const marker of [world.ids.uuid(), theirs]) assert.equal((await page(`?marker=${marker}`)).status, 404);
    world.clock.advance(31 * DAY);
    assert.equal((await page(`?marker=${ids[0]}`)).status, 404);
  });
});
