import type { Kysely } from "kysely";
import type { Migration } from "./migrate.ts";
import { prepared } from "./prepared.ts";
import type { Tx } from "./store.ts";

interface CounterTables {
  counters: { name: string; value: number };
}

export const counterMigration: Migration = {
  name: "kernel-0001-counters",
  statements: ["CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL)"],
};

const next = prepared((db: Kysely<CounterTables>, p: { name: string }) =>
  db
    .insertInto("counters")
    .values({ name: p.name, value: 1 })
    .onConflict((c) => c.column("name").doUpdateSet((eb) => ({ value: eb("counters.value", "+", 1) })))
    .returning("value"),
);

/** The next whole number of a named sequence, from 1: for the ids that OpenStack shows as integers. */
export async function nextNumber(t: Tx, name: string): Promise<number> {
  const [row] = await next.all(t, { name });
  if (!row) throw new Error(`the counter ${name} gave no number`);
  return row.value;
}
