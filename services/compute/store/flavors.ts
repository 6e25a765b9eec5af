import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables, FlavorRow, FlavorSnapshot } from "./tables.ts";

export interface FlavorFilter {
  /** Undefined: public ones and those that `projectId` may use; null: all. */
  readonly isPublic: boolean | null | undefined;
  readonly projectId: string | null;
  readonly minRamMiB: number;
  readonly minDiskGiB: number;
}

export const FLAVOR_SORT_KEYS = {
  flavorid: "id",
  name: "name",
  memory_mb: "ram_mib",
  vcpus: "vcpus",
  root_gb: "disk_gib",
  ephemeral_gb: "ephemeral_gib",
  swap: "swap_mib",
  rxtx_factor: "rxtx_factor",
  is_public: "is_public",
  disabled: "disabled",
  id: "number",
  created_at: "created_at",
} as const;
export type FlavorSortKey = keyof typeof FLAVOR_SORT_KEYS;

/** The flavors of a project; a page begins after `marker`. */
export async function listFlavors(
  q: Queries,
  filter: FlavorFilter,
  page: { limit: number; marker: FlavorRow | undefined; sortKey: FlavorSortKey; descending: boolean },
): Promise<FlavorRow[]> {
  const column = FLAVOR_SORT_KEYS[page.sortKey];
  const direction = page.descending ? "desc" : "asc";
  let query = q
    .tables<ComputeTables>()
    .selectFrom("flavors")
    .selectAll()
    .where("ram_mib", ">=", filter.minRamMiB)
    .where("disk_gib", ">=", filter.minDiskGiB)
    .orderBy(column, direction)
    .orderBy("number", direction)
    .limit(page.limit);
  if (filter.isPublic === undefined) {
    query = query.where((eb) =>
      eb.or([
        eb("is_public", "=", 1),
        eb(
          "id",
          "in",
          eb
            .selectFrom("flavor_access")
            .select("flavor_id")
            .where("project_id", "=", filter.projectId ?? ""),
        ),
      ]),
    );
  } else if (filter.isPublic !== null) query = query.where("is_public", "=", filter.isPublic ? 1 : 0);
  const { marker } = page;
  if (marker) {
    const beyond = page.descending ? "<" : ">";
    query = query.where((eb) =>
      eb.or([
        eb(column, beyond, marker[column]),
        eb.and([eb(column, "=", marker[column]), eb("number", beyond, marker.number)]),
      ]),
    );
  }
  return await query.execute();
}

export async function findFlavor(q: Queries, id: string): Promise<FlavorRow | undefined> {
  return await q.tables<ComputeTables>().selectFrom("flavors").selectAll().where("id", "=", id).executeTakeFirst();
}

/** True when a server of the project may be of this flavor. */
export async function mayUseFlavor(q: Queries, flavor: FlavorRow, projectId: string | null): Promise<boolean> {
  if (flavor.is_public === 1) return true;
  return (await projectsOfFlavor(q, flavor.id)).includes(projectId ?? "");
}

export async function projectsOfFlavor(q: Queries, flavorId: string): Promise<string[]> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("flavor_access")
    .select("project_id")
    .where("flavor_id", "=", flavorId)
    .orderBy("project_id")
    .execute();
  return rows.map((row) => row.project_id);
}

/** False when another flavor has the id or the name. */
export async function insertFlavor(t: Tx, row: FlavorRow): Promise<boolean> {
  const inserted = await t
    .tables<ComputeTables>()
    .insertInto("flavors")
    .values(row)
    .onConflict((c) => c.doNothing())
    .executeTakeFirst();
  return inserted.numInsertedOrUpdatedRows === 1n;
}

export async function updateFlavor(
  t: Tx,
  id: string,
  patch: Partial<Pick<FlavorRow, "description" | "extra_specs">>,
): Promise<void> {
  await t.tables<ComputeTables>().updateTable("flavors").set(patch).where("id", "=", id).execute();
}

export async function deleteFlavor(t: Tx, id: string): Promise<void> {
  const db = t.tables<ComputeTables>();
  await db.deleteFrom("flavor_access").where("flavor_id", "=", id).execute();
  await db.deleteFrom("flavors").where("id", "=", id).execute();
}

/** False when the project has access already. */
export async function addFlavorAccess(t: Tx, flavorId: string, projectId: string): Promise<boolean> {
  const inserted = await t
    .tables<ComputeTables>()
    .insertInto("flavor_access")
    .values({ flavor_id: flavorId, project_id: projectId })
    .onConflict((c) => c.doNothing())
    .executeTakeFirst();
  return inserted.numInsertedOrUpdatedRows === 1n;
}

/** False when the project had no access. */
export async function removeFlavorAccess(t: Tx, flavorId: string, projectId: string): Promise<boolean> {
  const deleted = await t
    .tables<ComputeTables>()
    .deleteFrom("flavor_access")
    .where("flavor_id", "=", flavorId)
    .where("project_id", "=", projectId)
    .executeTakeFirst();
  return deleted.numDeletedRows === 1n;
}

export function extraSpecsOf(row: Pick<FlavorRow, "extra_specs">): Record<string, string> {
  return JSON.parse(row.extra_specs) as Record<string, string>;
}

/** What a server keeps of the flavor. */
export function snapshotOf(row: FlavorRow): FlavorSnapshot {
  return {
    number: row.number,
    id: row.id,
    name: row.name,
    vcpus: row.vcpus,
    ramMiB: row.ram_mib,
    diskGiB: row.disk_gib,
    ephemeralGiB: row.ephemeral_gib,
    swapMiB: row.swap_mib,
    extraSpecs: extraSpecsOf(row),
  };
}
