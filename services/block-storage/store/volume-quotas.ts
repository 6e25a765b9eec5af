import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { BlockStorageTables } from "./tables.ts";

/** Resources with OpenStack's default limits; −1 is without limit. Gigabytes are GiB. */
export const BASE_QUOTAS = {
  volumes: 10,
  per_volume_gigabytes: -1,
  snapshots: 10,
  gigabytes: 1000,
  backups: 10,
  backup_gigabytes: 1000,
  groups: 10,
} as const;

/** Also counted for each type, by its name: `gigabytes_fast`. Without limit unless set. */
const BY_TYPE = ["volumes", "gigabytes", "snapshots"] as const;

/** In place of a project id: what projects have that nobody set anything for. */
export const DEFAULT_CLASS = "class:default";

export type Amounts = Readonly<Record<string, number>>;

/** Limits by resource, those of all types included. */
export async function quotasOf(q: Queries, projectId: string): Promise<Amounts> {
  const db = q.tables<BlockStorageTables>();
  const types = await db.selectFrom("volume_types").select("name").orderBy("name").execute();
  const rows = await db
    .selectFrom("volume_quotas")
    .selectAll()
    .where("project_id", "in", [DEFAULT_CLASS, projectId])
    .execute();
  const quotas: Record<string, number> = { ...BASE_QUOTAS };
  for (const { name } of types) for (const resource of BY_TYPE) quotas[`${resource}_${name}`] = -1;
  for (const owner of [DEFAULT_CLASS, projectId]) {
    for (const row of rows)
      if (row.project_id === owner && row.resource in quotas) quotas[row.resource] = row.hard_limit;
  }
  return quotas;
}

export async function setQuotas(t: Tx, projectId: string, limits: Amounts): Promise<void> {
  for (const [resource, hard_limit] of Object.entries(limits)) {
    await t
      .tables<BlockStorageTables>()
      .insertInto("volume_quotas")
      .values({ project_id: projectId, resource, hard_limit })
      .onConflict((c) => c.columns(["project_id", "resource"]).doUpdateSet({ hard_limit }))
      .execute();
  }
}

export async function deleteQuotas(t: Tx, projectId: string): Promise<void> {
  await t.tables<BlockStorageTables>().deleteFrom("volume_quotas").where("project_id", "=", projectId).execute();
}

type Count = number | bigint | string;

/** What a project uses, by resource; absent is none. Snapshots count as gigabytes too. */
export async function usageOf(q: Queries, projectId: string): Promise<Amounts> {
  const db = q.tables<BlockStorageTables>();
  const usage: Record<string, number> = {};
  const add = (resource: string, type: string, amount: Count) => {
    for (const name of [resource, `${resource}_${type}`]) usage[name] = (usage[name] ?? 0) + Number(amount);
  };
  for (const [table, resource] of [
    ["volumes", "volumes"],
    ["volume_snapshots", "snapshots"],
  ] as const) {
    const rows = await db
      .selectFrom(table)
      .innerJoin("volume_types", "volume_types.id", `${table}.type_id`)
      .select((eb) => [
        "volume_types.name",
        eb.fn.countAll<Count>().as("count"),
        eb.fn.sum<Count>(`${table}.size_gib`).as("size"),
      ])
      .where("project_id", "=", projectId)
      .where("deleted_at", "is", null)
      .where("consumes_quota", "=", 1)
      .groupBy("volume_types.name")
      .execute();
    for (const row of rows) {
      add(resource, row.name, row.count);
      add("gigabytes", row.name, row.size);
    }
  }
  return usage;
}

/** What running extensions and changes of type of the project's volumes will add to what their rows say, by resource. */
async function growthOf(q: Queries, projectId: string): Promise<Amounts> {
  const rows = await q
    .tables<OperationTables & BlockStorageTables>()
    .selectFrom("operations")
    .leftJoin("volumes", "volumes.id", "operations.resource_id")
    .select(["operations.input", "volumes.type_id"])
    .where("operations.project_id", "=", projectId)
    .where("operations.name", "in", ["volume.extend", "volume.retype"])
    .where("state", "not in", FINAL_STATES)
    .execute();
  const growth: Record<string, number> = {};
  for (const row of rows) {
    const { growth: parts, typeId } = JSON.parse(row.input) as { growth: Amounts; typeId?: string };
    // It has the new type already, but its change of type has not ended.
    if (typeId !== undefined && typeId === row.type_id) continue;
    for (const [name, amount] of Object.entries(parts)) growth[name] = (growth[name] ?? 0) + amount;
  }
  return growth;
}

/**
 * Holds what a request adds against the project's limits, until the transaction ends. Throws `block-storage.over_quota`
 * (413) that names the first resource that does not suffice.
 */
export async function reserveQuota(t: Tx, projectId: string, demand: Amounts): Promise<void> {
  await nextNumber(t, "block-storage.quota-checks");
  const quotas = await quotasOf(t, projectId);
  const usage = await usageOf(t, projectId);
  const growth = await growthOf(t, projectId);
  for (const [resource, wanted] of Object.entries(demand)) {
    const limit = quotas[resource] ?? -1;
    const used = (usage[resource] ?? 0) + (growth[resource] ?? 0);
    if (limit < 0 || wanted <= 0 || used + wanted <= limit) continue;
    throw overQuota(resource, `Requested ${wanted}, of which ${used} are used already; the quota is ${limit}.`);
  }
}

/** Throws 413 when one volume alone would be larger than the project may have. */
export async function checkVolumeSize(q: Queries, projectId: string, sizeGiB: number): Promise<void> {
  const limit = (await quotasOf(q, projectId)).per_volume_gigabytes ?? -1;
  if (limit >= 0 && sizeGiB > limit)
    throw overQuota("per_volume_gigabytes", `Requested ${sizeGiB} GiB; a volume may have ${limit}.`);
}

/** What one more volume or snapshot takes, what an extension adds, or one more volume of the type that was there already. */
export function demandOf(kind: "volumes" | "snapshots" | "growth" | "retype", typeName: string, gib: number): Amounts {
  if (kind === "retype") return { [`volumes_${typeName}`]: 1, [`gigabytes_${typeName}`]: gib };
  const size = { gigabytes: gib, [`gigabytes_${typeName}`]: gib };
  return kind === "growth" ? size : { [kind]: 1, [`${kind}_${typeName}`]: 1, ...size };
}

function overQuota(resource: string, detail: string): CloudError {
  return new CloudError("overQuota", "block-storage.over_quota", `Quota exceeded for ${resource}: ${detail}`);
}
