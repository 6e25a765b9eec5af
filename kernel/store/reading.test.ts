import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Kysely, sql } from "kysely";
import type { Migration } from "./migrate.ts";
import { prepared } from "./prepared.ts";
import { onBothStores, openSqlite } from "./testing/stores.ts";

interface Tables {
  things: { id: string; size: number };
  parts: { id: string; thing_id: string };
  others: { id: string };
}

const migrations: readonly Migration[] = [
  {
    name: "test-0001",
    statements: [
      "CREATE TABLE things (id text PRIMARY KEY, size bigint NOT NULL)",
      "CREATE TABLE parts (id text PRIMARY KEY, thing_id text NOT NULL REFERENCES things (id) ON DELETE CASCADE)",
      "CREATE TABLE others (id text PRIMARY KEY)",
    ],
  },
];

const sizeOf = prepared((db: Kysely<Tables>, p: { id: string }) =>
  db.selectFrom("things").select("size").where("id", "=", p.id),
);

onBothStores("readings", (open) => {
  test("a reading sees what is committed", async () => {
    const { store } = await open(migrations);
    await store.tx(
      async (t) => void (await t.tables<Tables>().insertInto("things").values({ id: "a", size: 1 }).execute()),
    );
    const reading = store.reading();
    assert.deepEqual(await sizeOf.first(reading, { id: "a" }).then((row) => row?.size), 1);
    assert.equal(reading.isCurrent(), store.exclusive);
  });
});

describe("readings of a store that nobody else writes to", () => {
  const world = async () => {
    const { store, dispose } = await openSqlite(migrations);
    const write = (text: string) => store.tx(async (t) => void (await sql.raw(text).execute(t.tables())));
    await write("INSERT INTO things VALUES ('a', 1)");
    await write("INSERT INTO parts VALUES ('p', 'a')");
    return { store, write, dispose };
  };
  const cases: readonly { name: string; read: string; write: string; current: boolean }[] = [
    { name: "a row is changed", read: "SELECT size FROM things", write: "UPDATE things SET size = 2", current: false },
    {
      name: "a row comes",
      read: "SELECT count(*) FROM others",
      write: "INSERT INTO others VALUES ('x')",
      current: false,
    },
    { name: "a row goes", read: "SELECT id FROM things", write: "DELETE FROM things", current: false },
    {
      name: "a foreign key takes rows along",
      read: "SELECT id FROM parts",
      write: "DELETE FROM things",
      current: false,
    },
    {
      name: "a joined table is changed",
      read: "SELECT parts.id FROM parts JOIN things ON things.id = thing_id",
      write: "UPDATE things SET size = 2",
      current: false,
    },
    {
      name: "a table in a subquery is changed",
      read: "SELECT id FROM others WHERE EXISTS (SELECT 1 FROM things)",
      write: "DELETE FROM things",
      current: false,
    },
    {
      name: "the table itself is changed",
      read: "SELECT id FROM things",
      write: "ALTER TABLE things ADD COLUMN color text",
      current: false,
    },
    { name: "another table is changed", read: "SELECT id FROM things", write: "DELETE FROM others", current: true },
    {
      name: "a table is read for another",
      read: "SELECT id FROM things",
      write: "INSERT INTO others SELECT id FROM things",
      current: true,
    },
  ];
  for (const { name, read, write, current } of cases)
    test(`${name}: ${current ? "still current" : "no longer current"}`, async () => {
      const { store, write: run, dispose } = await world();
      const reading = store.reading();
      await sql.raw(read).execute(reading.tables());
      assert.equal(reading.isCurrent(), true);
      await run(write);
      assert.equal(reading.isCurrent(), current);
      await dispose();
    });

  test("what was written between two reads of one answer makes it no longer current", async () => {
    const { store, write, dispose } = await world();
    const reading = store.reading();
    await sizeOf.all(reading, { id: "a" });
    await write("UPDATE things SET size = 2");
    assert.deepEqual(await sizeOf.first(reading, { id: "a" }).then((row) => row?.size), 2);
    assert.equal(reading.isCurrent(), false);
    await dispose();
  });

  test("statements that ran before count as well as new ones", async () => {
    const { store, write, dispose } = await world();
    for (const size of [2, 3]) {
      const reading = store.reading();
      await sizeOf.all(reading, { id: "a" });
      assert.equal(reading.isCurrent(), true);
      await write(`UPDATE things SET size = ${size}`);
      await write("DELETE FROM others");
      assert.equal(reading.isCurrent(), false);
    }
    await dispose();
  });
});
