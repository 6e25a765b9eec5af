import type { Migration } from "./migrate.ts";
import type { Tx } from "./store.ts";

interface CounterTables {
  counters: { name: string; value: number };
}

export const counterMigration: Migration = {
  name: "kernel-0001-counters",
  statements: ["CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL)"],
};

/** The next whole number of a named sequence, from 1: for the ids that OpenStack shows as integers. */
export async function nextNumber(t: Tx, name: string): Promise<number> {
  const row = await t
    .tables<CounterTables>()
    .insertInto("counters")
    .values({ name, value: 1 })
    .onConflict((c) => c.column("name").doUpdateSet((eb) => ({ value: eb("counters.value", "+", 1) })))
    .returning("value")
    .executeTakeFirstOrThrow();
  return row.value;
}
