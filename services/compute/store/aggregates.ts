import { sql } from "kysely";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { AggregateRow, AggregateTables } from "./aggregate-tables.ts";
import type { ComputeTables } from "./tables.ts";

export type Metadata = Readonly<Record<string, string>>;

export interface Aggregate extends Omit<AggregateRow, "metadata"> {
  readonly metadata: Metadata;
  /** By name. */
  readonly hosts: readonly string[];
}

/** The zone that an aggregate gives its hosts, if any. */
export function zoneOfAggregate({ metadata }: Pick<Aggregate, "metadata">): string | undefined {
  return metadata.availability_zone;
}

/** In the order in which they were made. */
export async function listAggregates(q: Queries): Promise<Aggregate[]> {
  const rows = await q.tables<AggregateTables>().selectFrom("aggregates").selectAll().orderBy("number").execute();
  const members = await q.tables<AggregateTables>().selectFrom("aggregate_hosts").selectAll().orderBy("host").execute();
  const hosts = Map.groupBy(members, (member) => member.aggregate_number);
  return rows.map((row) => ({
    ...row,
    metadata: JSON.parse(row.metadata) as Metadata,
    hosts: (hosts.get(row.number) ?? []).map(({ host }) => host),
  }));
}

/**
 * All aggregates, which no other transaction changes before this one ends: the rules about zones look at several of
 * them, and there are few.
 */
export async function lockAggregates(t: Tx): Promise<Aggregate[]> {
  await t
    .tables<AggregateTables>()
    .updateTable("aggregates")
    .set({ number: sql.ref("number") })
    .execute();
  return await listAggregates(t);
}

export async function insertAggregate(t: Tx, row: Omit<Aggregate, "hosts">): Promise<boolean> {
  const inserted = await t
    .tables<AggregateTables>()
    .insertInto("aggregates")
    .values({ ...row, metadata: JSON.stringify(row.metadata) })
    .onConflict((c) => c.column("name").doNothing())
    .returning("number")
    .executeTakeFirst();
  return inserted !== undefined;
}

export async function updateAggregate(
  t: Tx,
  number: number,
  change: { name?: string; metadata?: Metadata; updated_at: number },
): Promise<void> {
  const { metadata, ...others } = change;
  await t
    .tables<AggregateTables>()
    .updateTable("aggregates")
    .set({ ...others, ...(metadata ? { metadata: JSON.stringify(metadata) } : {}) })
    .where("number", "=", number)
    .execute();
}

export async function deleteAggregate(t: Tx, number: number): Promise<void> {
  await t.tables<AggregateTables>().deleteFrom("aggregates").where("number", "=", number).execute();
}

export async function addHostTo(t: Tx, number: number, host: string): Promise<void> {
  await t.tables<AggregateTables>().insertInto("aggregate_hosts").values({ aggregate_number: number, host }).execute();
}

export async function removeHostFrom(t: Tx, number: number, host: string): Promise<void> {
  await t
    .tables<AggregateTables>()
    .deleteFrom("aggregate_hosts")
    .where("aggregate_number", "=", number)
    .where("host", "=", host)
    .execute();
}

/**
 * Puts hosts into a zone. Returns those that would change it and have servers, or servers on their way: then the
 * caller's transaction must not commit. Writing first makes a concurrent placement wait for the outcome.
 */
export async function moveToZone(t: Tx, hosts: readonly string[], zone: string): Promise<string[]> {
  if (hosts.length === 0) return [];
  const db = t.tables<ComputeTables>();
  const moved = await db
    .updateTable("compute_hosts")
    .set({ zone })
    .where("host", "in", hosts)
    .where("zone", "!=", zone)
    .returning("host")
    .execute();
  if (moved.length === 0) return [];
  const names = moved.map(({ host }) => host);
  const busy = await db.selectFrom("allocations").select("host").distinct().where("host", "in", names).execute();
  return busy.map(({ host }) => host);
}
