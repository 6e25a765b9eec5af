import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ImageStatus, ImageSummary, ImageViewer } from "../public.ts";
import type { ImageRow, ImageTables } from "./tables.ts";

/** An image with what hangs on it. */
export interface FullImage {
  readonly row: ImageRow;
  readonly properties: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
}

/** Undefined when there is none. */
export async function findImage(q: Queries, id: string): Promise<FullImage | undefined> {
  const row = await q.tables<ImageTables>().selectFrom("images").selectAll().where("id", "=", id).executeTakeFirst();
  if (!row) return undefined;
  const [image] = await withDetails(q, [row]);
  return image;
}

/** Undefined when there is none, or none that the viewer may see. */
export async function findVisibleImage(q: Queries, id: string, viewer: ImageViewer): Promise<FullImage | undefined> {
  const image = await findImage(q, id);
  if (!image) return undefined;
  const { owner, visibility } = image.row;
  if (viewer.isAdmin || visibility === "public" || visibility === "community") return image;
  if (viewer.projectId === null) return undefined;
  if (owner === viewer.projectId) return image;
  return visibility === "shared" && (await isMember(q, id, viewer.projectId)) ? image : undefined;
}

export async function isMember(q: Queries, imageId: string, projectId: string): Promise<boolean> {
  const row = await q
    .tables<ImageTables>()
    .selectFrom("image_members")
    .select("member_id")
    .where("image_id", "=", imageId)
    .where("member_id", "=", projectId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Adds properties and tags to rows, keeping their order. */
export async function withDetails(q: Queries, rows: readonly ImageRow[]): Promise<FullImage[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const db = q.tables<ImageTables>();
  const properties = new Map<string, Record<string, string>>();
  for (const each of await db.selectFrom("image_properties").selectAll().where("image_id", "in", ids).execute()) {
    const known = properties.get(each.image_id) ?? {};
    known[each.name] = each.value;
    properties.set(each.image_id, known);
  }
  const tags = await db.selectFrom("image_tags").selectAll().where("image_id", "in", ids).orderBy("tag").execute();
  return rows.map((row) => ({
    row,
    properties: properties.get(row.id) ?? {},
    tags: tags.filter((each) => each.image_id === row.id).map((each) => each.tag),
  }));
}

/** Undefined when the id is taken. */
export async function insertImage(t: Tx, image: FullImage): Promise<FullImage | undefined> {
  const inserted = await t
    .tables<ImageTables>()
    .insertInto("images")
    .values(image.row)
    .onConflict((c) => c.column("id").doNothing())
    .returning("id")
    .executeTakeFirst();
  if (!inserted) return undefined;
  await setProperties(t, image.row.id, image.properties);
  await setTags(t, image.row.id, image.tags);
  return image;
}

/** Replaces all properties. */
export async function setProperties(t: Tx, imageId: string, properties: Readonly<Record<string, string>>) {
  const db = t.tables<ImageTables>();
  await db.deleteFrom("image_properties").where("image_id", "=", imageId).execute();
  const rows = Object.entries(properties).map(([name, value]) => ({ image_id: imageId, name, value }));
  if (rows.length > 0) await db.insertInto("image_properties").values(rows).execute();
}

/** Replaces all tags. */
export async function setTags(t: Tx, imageId: string, tags: readonly string[]): Promise<void> {
  const db = t.tables<ImageTables>();
  await db.deleteFrom("image_tags").where("image_id", "=", imageId).execute();
  const rows = [...new Set(tags)].map((tag) => ({ image_id: imageId, tag }));
  if (rows.length > 0) await db.insertInto("image_tags").values(rows).execute();
}

export async function deleteImageRow(t: Tx, id: string): Promise<boolean> {
  const deleted = await t
    .tables<ImageTables>()
    .deleteFrom("images")
    .where("id", "=", id)
    .returning("id")
    .executeTakeFirst();
  return deleted !== undefined;
}

/**
 * The one writer of `status`: compare-and-set. False when the image is gone, in another status, or in the hands of another
 * upload than `uploadId`.
 */
export async function transition(
  t: Tx,
  id: string,
  change: { from: ImageStatus; to: ImageStatus; uploadId?: string; set: Partial<ImageRow> },
): Promise<boolean> {
  let query = t
    .tables<ImageTables>()
    .updateTable("images")
    .set({ ...change.set, status: change.to })
    .where("id", "=", id)
    .where("status", "=", change.from);
  if (change.uploadId !== undefined) query = query.where("upload_id", "=", change.uploadId);
  return (await query.returning("id").executeTakeFirst()) !== undefined;
}

export function summaryOf({ row, properties }: FullImage): ImageSummary {
  return {
    id: row.id,
    name: row.name ?? "",
    status: row.status,
    minDiskGiB: row.min_disk_gib,
    minRamMiB: row.min_ram_mib,
    sizeBytes: row.size_bytes,
    virtualSizeBytes: row.virtual_size_bytes,
    diskFormat: row.disk_format,
    containerFormat: row.container_format,
    properties,
    visibility: row.visibility,
    ownerProjectId: row.owner,
  };
}
