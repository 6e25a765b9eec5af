import type { ExpressionBuilder, Kysely } from "kysely";
import { atMost } from "../../../kernel/store/at-most.ts";
import { prepared, preparedPer } from "../../../kernel/store/prepared.ts";
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

export interface FlavorPage {
  readonly limit: number;
  readonly marker: FlavorRow | undefined;
  readonly sortKey: FlavorSortKey;
  readonly descending: boolean;
}

/** What a list differs in besides values. `usable`: by the project; `flagged`: by `is_public`; neither: all. */
type ListPart = FlavorSortKey | "descending" | "usable" | "flagged" | "after";

interface ListValues {
  readonly limit: number;
  readonly ram: number;
  readonly disk: number;
  readonly project: string;
  readonly flag: number;
  readonly after_value: string | number;
  readonly after_number: number;
}

type Db = Kysely<ComputeTables>;

const page = preparedPer((parts: readonly ListPart[]) =>
  prepared((db: Db, p: ListValues) => {
    const [sortKey] = parts as [FlavorSortKey];
    const column = FLAVOR_SORT_KEYS[sortKey];
    const direction = parts.includes("descending") ? "desc" : "asc";
    const beyond = parts.includes("descending") ? "<" : ">";
    let query = db
      .selectFrom("flavors")
      .selectAll()
      .where("ram_mib", ">=", p.ram)
      .where("disk_gib", ">=", p.disk)
      .orderBy(column, direction)
      .orderBy("number", direction)
      .limit(atMost(p.limit));
    if (parts.includes("usable")) query = query.where((eb) => eb.or([eb("is_public", "=", 1), isGranted(eb, p)]));
    if (parts.includes("flagged")) query = query.where("is_public", "=", p.flag);
    if (!parts.includes("after")) return query;
    return query.where((eb) =>
      eb.or([
        eb(column, beyond, p.after_value),
        eb.and([eb(column, "=", p.after_value), eb("number", beyond, p.after_number)]),
      ]),
    );
  }),
);

function isGranted(eb: ExpressionBuilder<ComputeTables, "flavors">, p: Pick<ListValues, "project">) {
  const grants = eb.selectFrom("flavor_access").select("flavor_id").whereRef("flavor_id", "=", "flavors.id");
  return eb.exists(grants.where("project_id", "=", p.project));
}

/** The flavors of a project; a page begins after `marker`. */
export async function listFlavors(
  q: Queries,
  filter: FlavorFilter,
  { limit, marker, sortKey, descending }: FlavorPage,
): Promise<FlavorRow[]> {
  const parts: ListPart[] = [sortKey];
  if (descending) parts.push("descending");
  if (filter.isPublic === undefined) parts.push("usable");
  else if (filter.isPublic !== null) parts.push("flagged");
  if (marker) parts.push("after");
  return await page(parts).all(q, {
    limit,
    ram: filter.minRamMiB,
    disk: filter.minDiskGiB,
    project: filter.projectId ?? "",
    flag: filter.isPublic ? 1 : 0,
    after_value: marker?.[FLAVOR_SORT_KEYS[sortKey]] ?? "",
    after_number: marker?.number ?? 0,
  });
}

const flavorById = prepared((db: Db, p: { id: string }) => db.selectFrom("flavors").selectAll().where("id", "=", p.id));

export async function findFlavor(q: Queries, id: string): Promise<FlavorRow | undefined> {
  return await flavorById.first(q, { id });
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
