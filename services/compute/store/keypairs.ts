import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables, KeypairRow } from "./tables.ts";

export async function findKeypair(q: Queries, userId: string, name: string): Promise<KeypairRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("keypairs")
    .selectAll()
    .where("user_id", "=", userId)
    .where("name", "=", name)
    .executeTakeFirst();
}

/** By name, after `marker`. */
export async function listKeypairs(
  q: Queries,
  userId: string,
  page: { limit: number; marker: string | undefined },
): Promise<KeypairRow[]> {
  let query = q
    .tables<ComputeTables>()
    .selectFrom("keypairs")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("name")
    .limit(page.limit);
  if (page.marker !== undefined) query = query.where("name", ">", page.marker);
  return await query.execute();
}

export async function countKeypairs(q: Queries, userId: string): Promise<number> {
  const row = await q
    .tables<ComputeTables>()
    .selectFrom("keypairs")
    .select((eb) => eb.fn.countAll<number | bigint | string>().as("count"))
    .where("user_id", "=", userId)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** False when the user has one of that name. */
export async function insertKeypair(t: Tx, row: KeypairRow): Promise<boolean> {
  const inserted = await t
    .tables<ComputeTables>()
    .insertInto("keypairs")
    .values(row)
    .onConflict((c) => c.doNothing())
    .executeTakeFirst();
  return inserted.numInsertedOrUpdatedRows === 1n;
}

/** False when there was none. */
export async function deleteKeypair(t: Tx, userId: string, name: string): Promise<boolean> {
  const deleted = await t
    .tables<ComputeTables>()
    .deleteFrom("keypairs")
    .where("user_id", "=", userId)
    .where("name", "=", name)
    .executeTakeFirst();
  return deleted.numDeletedRows === 1n;
}
