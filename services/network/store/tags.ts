import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { NetworkTables } from "./tables.ts";

/** Tags of many resources; those without one have no entry. */
export async function tagsOf(q: Queries, ids: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const result = new Map<string, string[]>();
  if (ids.length === 0) return result;
  const rows = await q
    .tables<NetworkTables>()
    .selectFrom("network_tags")
    .selectAll()
    .where("resource_id", "in", ids)
    .orderBy("tag")
    .execute();
  for (const row of rows) result.set(row.resource_id, [...(result.get(row.resource_id) ?? []), row.tag]);
  return result;
}

/** Replaces all tags. */
export async function setTags(t: Tx, id: string, tags: readonly string[]): Promise<void> {
  await removeTags(t, id);
  for (const tag of tags) await addTag(t, id, tag);
}

/** Fine when it is there already. */
export async function addTag(t: Tx, id: string, tag: string): Promise<void> {
  await t
    .tables<NetworkTables>()
    .insertInto("network_tags")
    .values({ resource_id: id, tag })
    .onConflict((c) => c.doNothing())
    .execute();
}

/** False when it was not there. */
export async function removeTag(t: Tx, id: string, tag: string): Promise<boolean> {
  const removed = await t
    .tables<NetworkTables>()
    .deleteFrom("network_tags")
    .where("resource_id", "=", id)
    .where("tag", "=", tag)
    .returning("tag")
    .executeTakeFirst();
  return removed !== undefined;
}

export async function removeTags(t: Tx, id: string): Promise<void> {
  await t.tables<NetworkTables>().deleteFrom("network_tags").where("resource_id", "=", id).execute();
}
