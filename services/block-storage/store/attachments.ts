import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { BlockStorageTables } from "./tables.ts";

export async function hasAttachments(q: Queries, volumeId: string): Promise<boolean> {
  const row = await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_attachments")
    .select("id")
    .where("volume_id", "=", volumeId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Forgets who the volume is attached to. */
export async function detachAll(t: Tx, volumeId: string): Promise<void> {
  await t.tables<BlockStorageTables>().deleteFrom("volume_attachments").where("volume_id", "=", volumeId).execute();
}
