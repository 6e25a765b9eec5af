import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { QUOTA_RESOURCES, type QuotaResource, type Quotas } from "../settings.ts";
import type { NetworkTables } from "./tables.ts";

const TABLE_OF = {
  network: "networks",
  subnet: "subnets",
  port: "ports",
  security_group: "security_groups",
  security_group_rule: "security_group_rules",
} as const satisfies Record<QuotaResource, keyof NetworkTables>;

/** The limits in force for a project. */
export async function quotasOf(q: Queries, projectId: string, defaults: Quotas): Promise<Quotas> {
  const own = await q
    .tables<NetworkTables>()
    .selectFrom("network_quotas")
    .select(["resource", "hard_limit"])
    .where("project_id", "=", projectId)
    .execute();
  return { ...defaults, ...Object.fromEntries(own.map((row) => [row.resource, row.hard_limit])) };
}

/** Replaces the given limits of a project. */
export async function setQuotas(t: Tx, projectId: string, limits: Partial<Quotas>): Promise<void> {
  for (const resource of QUOTA_RESOURCES) {
    const hard_limit = limits[resource];
    if (hard_limit === undefined) continue;
    await t
      .tables<NetworkTables>()
      .insertInto("network_quotas")
      .values({ project_id: projectId, resource, hard_limit })
      .onConflict((c) => c.columns(["project_id", "resource"]).doUpdateSet({ hard_limit }))
      .execute();
  }
}

/** Back to the defaults. */
export async function clearQuotas(t: Tx, projectId: string): Promise<void> {
  await t.tables<NetworkTables>().deleteFrom("network_quotas").where("project_id", "=", projectId).execute();
}

/** Projects that have limits of their own. */
export async function projectsWithQuotas(q: Queries): Promise<string[]> {
  const rows = await q
    .tables<NetworkTables>()
    .selectFrom("network_quotas")
    .select("project_id")
    .distinct()
    .orderBy("project_id")
    .execute();
  return rows.map((row) => row.project_id);
}

export async function countUsed(q: Queries, projectId: string, resource: QuotaResource): Promise<number> {
  const row = await q
    .tables<NetworkTables>()
    .selectFrom(TABLE_OF[resource])
    .select((eb) => eb.fn.countAll<number>().as("used"))
    .where("project_id", "=", projectId)
    .executeTakeFirstOrThrow();
  return row.used;
}

/** Throws `overQuota` unless the project may have `wanted` more. Concurrent requests of one project wait for each other. */
export async function checkQuota(
  t: Tx,
  projectId: string,
  resource: QuotaResource,
  defaults: Quotas,
  wanted = 1,
): Promise<void> {
  const limit = (await quotasOf(t, projectId, defaults))[resource];
  if (limit < 0) return;
  await t
    .tables<NetworkTables>()
    .insertInto("network_quota_locks")
    .values({ project_id: projectId })
    .onConflict((c) => c.column("project_id").doUpdateSet({ project_id: projectId }))
    .execute();
  if ((await countUsed(t, projectId, resource)) + wanted <= limit) return;
  throw new CloudError("overQuota", "network.over_quota", `Quota exceeded for resources: ['${resource}'].`);
}
