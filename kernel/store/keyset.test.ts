import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import { comesAfter, orderBy, type SortKey } from "./keyset.ts";
import { onBothStores } from "./testing/stores.ts";

interface Tables {
  things: { id: string; name: string; size: number };
}

onBothStores("keyset pages", (open) => {
  test("pages cover every row once, in order, whatever the directions", async () => {
    const statements = ["CREATE TABLE things (id text PRIMARY KEY, name text NOT NULL, size bigint NOT NULL)"];
    const { store, dispose } = await open([{ name: "test-0001", statements }]);
    const rows = Array.from({ length: 20 }, (_, n) => ({ id: `id-${n + 10}`, name: `n${n % 3}`, size: n % 4 }));
    await store.tx((t) => t.tables<Tables>().insertInto("things").values(rows).execute());
    for (const [byName, bySize] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const keys: SortKey[] = [
        { by: sql.ref("name"), descending: byName },
        { by: sql.ref("size"), descending: bySize },
        { by: sql.ref("id"), descending: false },
      ];
      const wanted = rows.toSorted(
        (a, b) =>
          (byName ? -1 : 1) * a.name.localeCompare(b.name) ||
          (bySize ? b.size - a.size : a.size - b.size) ||
          a.id.localeCompare(b.id),
      );
      const seen: string[] = [];
      let last: Tables["things"] | undefined;
      do {
        const after = last ? comesAfter(keys, [last.name, last.size, last.id]) : sql<boolean>`1 = 1`;
        const query = sql<Tables["things"]>`SELECT * FROM things WHERE ${after} ORDER BY ${orderBy(keys)} LIMIT 3`;
        const page: Tables["things"][] = (await query.execute(store.read.tables<Tables>())).rows;
        seen.push(...page.map((row) => row.id));
        last = page.at(-1);
      } while (last);
      assert.deepEqual(
        seen,
        wanted.map((row) => row.id),
      );
    }
    await dispose();
  });
});
