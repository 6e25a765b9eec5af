import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import type { Statement } from "../store.ts";
import { onBothStores } from "./stores.ts";
import { WatchedStore } from "./watched-store.ts";

const migrations = [{ name: "watched-0001", statements: ["CREATE TABLE words (word text NOT NULL)"] }];
const ALL: Statement = { name: "words", sql: "SELECT word FROM words" };

interface Tables {
  words: { word: string };
}

onBothStores("WatchedStore", (open) => {
  test("is busy from the beginning of a transaction or a read to its end, and reads as the store does", async () => {
    const store = new WatchedStore((await open(migrations)).store);
    assert.equal(store.busy, false);
    const gate = Promise.withResolvers<void>();
    const writing = store.tx(async (t) => {
      await t.tables<Tables>().insertInto("words").values({ word: "hello" }).execute();
      await gate.promise;
    });
    assert.equal(store.busy, true);
    gate.resolve();
    await writing;
    assert.equal(store.busy, false);
    for (const read of [
      () => store.read.tables<Tables>().selectFrom("words").selectAll().where("word", "=", "hello").execute(),
      () => store.read.run(ALL, []),
      async () => (await sql`SELECT word FROM words`.execute(store.read.tables<Tables>())).rows,
    ]) {
      const reading = read();
      let seenBusy: boolean = store.busy;
      // SQLite answers before the event loop turns.
      for (let i = 0; i < 100 && !seenBusy; i += 1) {
        await Promise.resolve();
        seenBusy = store.busy;
      }
      assert.ok(seenBusy);
      assert.deepEqual(
        [...(await reading)].map((row) => ({ ...(row as object) })),
        [{ word: "hello" }],
      );
      assert.equal(store.busy, false);
    }
    await store.close();
  });

  test("what fails is over too", async () => {
    const store = new WatchedStore((await open(migrations)).store);
    await assert.rejects(store.tx((t) => sql`SELECT nonsense`.execute(t.tables<Tables>())));
    await assert.rejects(sql`SELECT nonsense`.execute(store.read.tables<Tables>()));
    await assert.rejects(store.read.run({ name: "nonsense", sql: "SELECT nonsense" }, []));
    assert.equal(store.busy, false);
    await store.close();
  });

  test("a notification that has not been heard yet keeps it busy, one that was rolled back does not", async () => {
    const store = new WatchedStore((await open(migrations)).store);
    let heard = 0;
    const unlisten = store.listen("news", () => {
      heard += 1;
    });
    const rolledBack = store.tx(async (t) => {
      t.notify("news", "a");
      throw new Error("no");
    });
    await assert.rejects(rolledBack);
    assert.equal(store.busy, false);
    await store.tx(async (t) => t.notify("news", "b"));
    while (store.busy) await store.turn();
    assert.equal(heard, 1);
    unlisten();
    await store.close();
  });
});
