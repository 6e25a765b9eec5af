import assert from "node:assert/strict";
import { test } from "node:test";
import { type Kysely, sql } from "kysely";
import { isAmong } from "./is-among.ts";
import type { Migration } from "./migrate.ts";
import { prepared, preparedPer } from "./prepared.ts";
import { onBothStores } from "./testing/stores.ts";

interface Thing {
  id: string;
  size: number;
  note: string | null;
}

const things: Migration = {
  name: "test-0001",
  statements: ["CREATE TABLE things (id text PRIMARY KEY, size bigint NOT NULL, note text)"],
};

const thing = (id: string): Thing => ({ id, size: 1, note: null });

type Db = Kysely<{ things: Thing }>;

onBothStores("prepared queries", (open) => {
  test("are built once, and bind their parameters by name", async () => {
    const { store } = await open([things]);
    let built = 0;
    const add = prepared((db: Db, p: Thing) => {
      built += 1;
      return db.insertInto("things").values({ note: p.note, size: p.size, id: p.id });
    });
    const larger = prepared((db: Db, p: { than: number; atMost: number }) =>
      db.selectFrom("things").selectAll().where("size", ">", p.than).orderBy("id").limit(p.atMost),
    );
    for (const size of [1, 2, 3, 4]) {
      await store.tx((t) => add.all(t, { id: `t${size}`, size, note: size === 3 ? null : "n" }));
    }
    assert.equal(built, 1);
    const found = (await larger.all(store.read, { than: 1, atMost: 2 })).map((row) => [row.id, row.size, row.note]);
    assert.deepEqual(found, [
      ["t2", 2, "n"],
      ["t3", 3, null],
    ]);
    assert.equal(await larger.first(store.read, { than: 4, atMost: 2 }), undefined);
  });

  test("take a list of any length as one parameter", async () => {
    const { store } = await open([things]);
    const some = prepared((db: Db, p: { ids: string }, dialect) =>
      db
        .selectFrom("things")
        .select("id")
        .where(isAmong(dialect, "id", p.ids))
        .orderBy("id"),
    );
    const add = prepared((db: Db, p: Thing) =>
      db.insertInto("things").values({ id: p.id, size: p.size, note: p.note }),
    );
    for (const id of ["a", "b", "c"]) await store.tx((t) => add.all(t, thing(id)));
    const among = async (ids: string[]) =>
      (await some.all(store.read, { ids: JSON.stringify(ids) })).map(({ id }) => id);
    assert.deepEqual(await among(["c", "a", "x"]), ["a", "c"]);
    assert.deepEqual(await among([]), []);
  });

  test("follow a table that has changed since", async () => {
    const { store } = await open([things]);
    const all = prepared((db: Db) => db.selectFrom("things").selectAll());
    const touch = prepared((db: Db, p: { id: string }) =>
      db.updateTable("things").set({ note: "seen" }).where("id", "=", p.id).returningAll(),
    );
    await store.tx((t) => t.tables<{ things: Thing }>().insertInto("things").values(thing("a")).execute());
    await store.tx((t) => touch.all(t, { id: "a" }));
    await all.all(store.read, {});
    await store.tx((t) => sql`ALTER TABLE things ADD COLUMN colour text`.execute(t.tables()));
    const columns = ["colour", "id", "note", "size"];
    assert.deepEqual(Object.keys((await all.first(store.read, {})) ?? {}).toSorted(), columns);
    const touched = await store.tx((t) => touch.first(t, { id: "a" }));
    assert.deepEqual(Object.keys(touched ?? {}).toSorted(), columns);
  });

  test("of a family are built once for each list of names", async () => {
    const { store } = await open([things]);
    let built = 0;
    const change = preparedPer((names: readonly ("size" | "note")[]) =>
      prepared((db: Db, p: Pick<Thing, "id"> & Partial<Thing>) => {
        built += 1;
        const changes = Object.fromEntries(names.map((name) => [name, p[name]]));
        return db.updateTable("things").set(changes).where("id", "=", p.id).returning(["size", "note"]);
      }),
    );
    await store.tx((t) => t.tables<{ things: Thing }>().insertInto("things").values(thing("a")).execute());
    await store.tx((t) => change(["size"]).all(t, { id: "a", size: 2 }));
    const row = await store.tx(async (t) => {
      await change(["note"]).all(t, { id: "a", note: "seen" });
      return await change(["size"]).first(t, { id: "a", size: 3 });
    });
    assert.deepEqual({ ...row }, { size: 3, note: "seen" });
    assert.equal(built, 2);
  });
});
