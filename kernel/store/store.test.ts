import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock/clock.ts";
import { counterMigration, nextNumber } from "./counters.ts";
import { type Migration, migrate } from "./migrate.ts";
import type { Store, Tx } from "./store.ts";
import { onBothStores } from "./testing/stores.ts";

interface Tables {
  things: { id: string; size: number };
}

const things: Migration = {
  name: "test-0001",
  statements: ["CREATE TABLE things (id text PRIMARY KEY, size bigint NOT NULL)"],
};

const add = (t: Tx, id: string) =>
  t
    .tables<Tables>()
    .insertInto("things")
    .values({ id, size: 2 ** 40 })
    .execute();
const ids = async (store: Store) =>
  (await store.read.tables<Tables>().selectFrom("things").select("id").orderBy("id").execute()).map((row) => row.id);

onBothStores("store", (open) => {
  test("a transaction that fails leaves nothing, its neighbours in the same group stay", async () => {
    const { store } = await open([things]);
    const outcomes = await Promise.allSettled([
      store.tx((t) => add(t, "a")),
      store.tx(async (t) => {
        await add(t, "b");
        throw new Error("no");
      }),
      store.tx((t) => add(t, "c")),
      store.tx((t) => add(t, "a")),
    ]);
    const [a, thrown, c, again] = outcomes.map((o) => o.status);
    assert.deepEqual([thrown, c], ["rejected", "fulfilled"]);
    // On PostgreSQL they have a connection each: either may be first.
    assert.deepEqual([a, again].toSorted(), ["fulfilled", "rejected"]);
    assert.deepEqual(await ids(store), ["a", "c"]);
  });

  test("big integers come back as numbers, sums too", async () => {
    const { store } = await open([things]);
    await store.tx((t) => add(t, "a"));
    const row = await store.read
      .tables<Tables>()
      .selectFrom("things")
      .select((eb) => ["size", eb.fn.sum<number>("size").as("total")])
      .groupBy("size")
      .executeTakeFirstOrThrow();
    assert.deepEqual({ ...row }, { size: 2 ** 40, total: 2 ** 40 });
  });

  test("readers cannot write", async () => {
    const { store } = await open([things]);
    await assert.rejects(store.read.tables<Tables>().insertInto("things").values({ id: "x", size: 1 }).execute());
  });

  test("notifications arrive after the commit, once, and not from a failed transaction", async () => {
    const { store, again } = await open([things]);
    const other = await again();
    const heard: string[] = [];
    const arrived = new Promise<void>((resolve) => {
      other.listen("c", (payload) => {
        heard.push(payload);
        if (payload === "last") resolve();
      });
    });
    await assert.rejects(
      store.tx(async (t) => {
        t.notify("c", "lost");
        await add(t, "a");
        throw new Error("no");
      }),
    );
    await store.tx(async (t) => {
      t.notify("c", "one");
      t.notify("c", "one");
      await add(t, "a");
    });
    await store.tx(async (t) => t.notify("c", "last"));
    await arrived;
    assert.deepEqual(heard, ["one", "last"]);
  });

  test("counters give each number once, also to transactions that run together", async () => {
    const { store } = await open([counterMigration]);
    const numbers = await Promise.all(Array.from({ length: 20 }, () => store.tx((t) => nextNumber(t, "n"))));
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  test("migrating twice changes nothing; a database of a newer program is refused", async () => {
    const { store } = await open([things]);
    assert.deepEqual(await migrate(store, [things], systemClock), []);
    await assert.rejects(migrate(store, [], systemClock), { code: "store.newer_schema" });
  });
});
