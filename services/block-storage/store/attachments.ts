import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
import type { AttachmentRow, BlockStorageTables } from "./tables.ts";

export async function findAttachment(q: Queries, id: string): Promise<AttachmentRow | undefined> {
  return await attachments(q).where("id", "=", id).executeTakeFirst();
}

/** Throws `block-storage.attachment_not_found`. */
export async function getAttachment(q: Queries, id: string): Promise<AttachmentRow> {
  const row = await findAttachment(q, id);
  if (!row) throw attachmentNotFound(id);
  return row;
}

export function attachmentNotFound(id: string): CloudError {
  return new CloudError(
    "notFound",
    "block-storage.attachment_not_found",
    `Volume attachment could not be found with filter: attachment_id = ${id}.`,
  );
}

/** Every attachment of the volume, reserved ones too, oldest first. */
export async function attachmentsOf(q: Queries, volumeId: string): Promise<AttachmentRow[]> {
  return await attachments(q).where("volume_id", "=", volumeId).orderBy("created_at").orderBy("id").execute();
}

/** Those by which Compute's server has volumes, reserved ones too. */
export async function attachmentsOfServer(q: Queries, serverId: string): Promise<AttachmentRow[]> {
  return await attachments(q).where("server_id", "=", serverId).where("held_by_compute", "=", 1).execute();
}

function attachments(q: Queries) {
  return q.tables<BlockStorageTables>().selectFrom("volume_attachments").selectAll();
}

export async function hasAttachments(q: Queries, volumeId: string): Promise<boolean> {
  return (await attachmentsOf(q, volumeId)).length > 0;
}

export async function insertAttachment(t: Tx, row: AttachmentRow): Promise<void> {
  await t.tables<BlockStorageTables>().insertInto("volume_attachments").values(row).execute();
}

/** The only writer of an attachment's status. Throws `block-storage.attachment_not_found`. */
export async function transitionAttachment(
  t: Tx,
  clock: Clock,
  id: string,
  set: Partial<Omit<AttachmentRow, "id" | "volume_id" | "project_id" | "created_at" | "updated_at">>,
): Promise<AttachmentRow> {
  const row = await t
    .tables<BlockStorageTables>()
    .updateTable("volume_attachments")
    .set({ ...set, updated_at: clock.now() })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw attachmentNotFound(id);
  return row;
}

/** Fine when there is none. */
export async function removeAttachment(t: Tx, id: string): Promise<void> {
  await t.tables<BlockStorageTables>().deleteFrom("volume_attachments").where("id", "=", id).execute();
}

/** Forgets who the volume is attached to. */
export async function detachAll(t: Tx, volumeId: string): Promise<void> {
  await t.tables<BlockStorageTables>().deleteFrom("volume_attachments").where("volume_id", "=", volumeId).execute();
}

export const ATTACHMENT_SORT_COLUMNS: Readonly<Record<string, SortColumn>> = {
  created_at: { column: "volume_attachments.created_at" },
  id: { column: "volume_attachments.id" },
  volume_id: { column: "volume_attachments.volume_id" },
  instance_id: { column: "volume_attachments.server_id", empty: "" },
  attach_status: { column: "volume_attachments.attach_status" },
  status: { column: "volume_attachments.attach_status" },
};

export type AttachmentFilter = Partial<
  Pick<AttachmentRow, "project_id" | "volume_id" | "server_id"> & { readonly attach_status: string }
>;

export async function listAttachments(q: Queries, filter: AttachmentFilter, page: ListPage): Promise<AttachmentRow[]> {
  if (page.limit === 0) return [];
  const { order, behindMarker } = pageOrder("volume_attachments", page);
  let query = attachments(q);
  for (const [column, value] of Object.entries(filter))
    query = query.where(sql<boolean>`${sql.ref(`volume_attachments.${column}`)} = ${value}`);
  return await query.where(behindMarker).orderBy(sql`${order}`).limit(page.limit).offset(page.offset).execute();
}
