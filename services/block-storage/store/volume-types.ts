import { type Kysely, sql } from "kysely";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { extraSpecsOf } from "./find-type.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
import type { BlockStorageTables, VolumeTypeRow } from "./tables.ts";

export const TYPE_SORT_COLUMNS: Readonly<Record<string, SortColumn>> = {
  created_at: { column: "volume_types.created_at" },
  updated_at: { column: "volume_types.updated_at", empty: 0 },
  name: { column: "volume_types.name" },
  id: { column: "volume_types.id" },
};

/** Who looks: administrators see private types, others those of their project. */
export interface TypeViewer {
  readonly projectId: string | null;
  readonly isAdmin: boolean;
}

export interface TypeFilter {
  /** Undefined: any. */
  readonly isPublic?: boolean | undefined;
  /** Keys and values that the type must have. */
  readonly extraSpecs?: Readonly<Record<string, string>> | undefined;
}

/** One page of the types that are public or open to the viewer's project; administrators may ask for all. */
export async function listTypes(
  q: Queries,
  viewer: TypeViewer,
  filter: TypeFilter,
  page: ListPage,
): Promise<VolumeTypeRow[]> {
  if (page.limit === 0) return [];
  const { order, behindMarker } = pageOrder("volume_types", page);
  let query = q.tables<BlockStorageTables>().selectFrom("volume_types").selectAll().where(behindMarker);
  if (!viewer.isAdmin || filter.isPublic === true) query = query.where(openTo(viewer.projectId));
  else if (filter.isPublic === false) query = query.where("is_public", "=", 0);
  for (const [key, value] of Object.entries(filter.extraSpecs ?? {})) {
    const part = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
    query = query.where(sql<boolean>`extra_specs LIKE ${`%${escapeLike(part)}%`} ESCAPE '\\'`);
  }
  return await query.orderBy(sql`${order}`).limit(page.limit).offset(page.offset).execute();
}

function openTo(projectId: string | null) {
  return sql<boolean>`(is_public = 1 OR EXISTS (SELECT 1 FROM volume_type_access
    WHERE type_id = volume_types.id AND project_id = ${projectId ?? ""}))`;
}

export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (special) => `\\${special}`);
}

/** The type that the viewer may see. Throws `block-storage.type_not_found`. */
export async function getType(q: Queries, viewer: TypeViewer, id: string): Promise<VolumeTypeRow> {
  let query = types(q).where("id", "=", id);
  if (!viewer.isAdmin) query = query.where(openTo(viewer.projectId));
  const row = await query.executeTakeFirst();
  if (!row) throw typeNotFound(id);
  return row;
}

/** By id or, as bodies allow, by name. Undefined when there is none that the viewer may use. */
export async function usableType(q: Queries, viewer: TypeViewer, named: string): Promise<VolumeTypeRow | undefined> {
  let query = types(q).where((eb) => eb.or([eb("id", "=", named), eb("name", "=", named)]));
  if (!viewer.isAdmin) query = query.where(openTo(viewer.projectId));
  const rows = await query.execute();
  return rows.find((row) => row.id === named) ?? rows[0];
}

export async function typeById(q: Queries, id: string): Promise<VolumeTypeRow | undefined> {
  return await types(q).where("id", "=", id).executeTakeFirst();
}

/** The operator's default, or the one that always exists. */
export async function defaultType(q: Queries, name: string): Promise<VolumeTypeRow> {
  const rows = await types(q).where("name", "in", [name, "__DEFAULT__"]).execute();
  const row = rows.find((each) => each.name === name) ?? rows[0];
  if (!row) throw typeNotFound(name);
  return row;
}

function types(q: Queries) {
  return q.tables<BlockStorageTables>().selectFrom("volume_types").selectAll();
}

export function typeNotFound(id: string): CloudError {
  return new CloudError("notFound", "block-storage.type_not_found", `Volume type ${id} could not be found.`);
}

/** Throws `block-storage.type_exists` when the name is taken. */
export async function insertType(t: Tx, row: VolumeTypeRow): Promise<void> {
  const added = await t
    .tables<BlockStorageTables>()
    .insertInto("volume_types")
    .values(row)
    .onConflict((c) => c.doNothing())
    .returning("id")
    .executeTakeFirst();
  if (!added) throw typeExists(row.name);
}

export type TypePatch = Partial<Pick<VolumeTypeRow, "name" | "description" | "is_public" | "extra_specs">>;

/** Throws `block-storage.type_exists` when the name is taken by another type. */
export async function updateType(t: Tx, id: string, patch: TypePatch, now: number): Promise<VolumeTypeRow> {
  const db = t.tables<BlockStorageTables>();
  if (patch.name !== undefined) {
    const other = await types(t).where("name", "=", patch.name).where("id", "!=", id).executeTakeFirst();
    if (other) throw typeExists(patch.name);
  }
  const changed = { ...patch, updated_at: now };
  const row = await db.updateTable("volume_types").set(changed).where("id", "=", id).returningAll().executeTakeFirst();
  if (!row) throw typeNotFound(id);
  return row;
}

function typeExists(name: string): CloudError {
  return new CloudError("conflict", "block-storage.type_exists", `Volume Type ${name} already exists.`);
}

export async function deleteType(t: Tx, id: string): Promise<void> {
  const db = t.tables<BlockStorageTables>();
  await db.deleteFrom("volume_type_access").where("type_id", "=", id).execute();
  await db.deleteFrom("volume_types").where("id", "=", id).execute();
}

/**
 * Keeps the type from being used or changed by others until the transaction ends: whoever gives it to a volume asks for it, so that it is
 * not deleted before that can be seen. Undefined when it is gone.
 */
export async function lockType(t: Tx, id: string): Promise<VolumeTypeRow | undefined> {
  return await t
    .tables<BlockStorageTables>()
    .updateTable("volume_types")
    .set({ is_public: sql.ref("is_public") })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
}

/** Throws `block-storage.type_in_use` (400) while volumes have the type. */
export async function mustBeUnused(t: Tx, id: string): Promise<void> {
  await lockType(t, id);
  const db: Kysely<BlockStorageTables> = t.tables();
  const used = await db
    .selectFrom("volumes")
    .select("id")
    .where("type_id", "=", id)
    .where("deleted_at", "is", null)
    .limit(1)
    .executeTakeFirst();
  if (used || (await isWanted(t, id)))
    throw new CloudError("invalid", "block-storage.type_in_use", `Volume Type ${id} is in use by existing volumes.`);
}

/** A volume is about to become one of the type. */
async function isWanted(t: Tx, id: string): Promise<boolean> {
  const rows = await t
    .tables<OperationTables>()
    .selectFrom("operations")
    .select("input")
    .where("name", "=", "volume.retype")
    .where("state", "not in", FINAL_STATES)
    .execute();
  return rows.some(({ input }) => (JSON.parse(input) as { typeId: string }).typeId === id);
}

export async function projectsOfType(q: Queries, typeId: string): Promise<string[]> {
  const rows = await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_type_access")
    .select("project_id")
    .where("type_id", "=", typeId)
    .orderBy("project_id")
    .execute();
  return rows.map((row) => row.project_id);
}

/** False when the project had access already. */
export async function addTypeAccess(t: Tx, typeId: string, projectId: string): Promise<boolean> {
  const added = await t
    .tables<BlockStorageTables>()
    .insertInto("volume_type_access")
    .values({ type_id: typeId, project_id: projectId })
    .onConflict((c) => c.doNothing())
    .returning("type_id")
    .executeTakeFirst();
  return added !== undefined;
}

/** False when the project had no access. */
export async function removeTypeAccess(t: Tx, typeId: string, projectId: string): Promise<boolean> {
  const removed = await t
    .tables<BlockStorageTables>()
    .deleteFrom("volume_type_access")
    .where("type_id", "=", typeId)
    .where("project_id", "=", projectId)
    .returning("type_id")
    .executeTakeFirst();
  return removed !== undefined;
}

/** Whether volumes of the type are mirrored to their backend's replication target. */
export function wantsReplication(row: VolumeTypeRow): boolean {
  return /^\s*<is>\s+true\s*$/i.test(extraSpecsOf(row).replication_enabled ?? "");
}
