import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ServerGroupTables } from "./group-tables.ts";
import type { ComputeTables, FlavorSnapshot } from "./tables.ts";

/** Resources with OpenStack's default limits; −1 is without limit. */
export const DEFAULT_QUOTAS = {
  instances: 10,
  cores: 20,
  ram: 51_200,
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10_240,
  injected_file_path_bytes: 255,
  key_pairs: 100,
  server_groups: 10,
  server_group_members: 10,
  fixed_ips: -1,
  floating_ips: -1,
  security_groups: -1,
  security_group_rules: -1,
} as const;
export type QuotaResource = keyof typeof DEFAULT_QUOTAS;
export type Quotas = Record<QuotaResource, number>;

/** In place of a project id: what projects have that nobody set anything for. */
export const DEFAULT_CLASS = "class:default";

export async function quotasOf(q: Queries, projectId: string): Promise<Quotas> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("compute_quotas")
    .selectAll()
    .where("project_id", "in", [DEFAULT_CLASS, projectId])
    .execute();
  const quotas: Quotas = { ...DEFAULT_QUOTAS };
  for (const owner of [DEFAULT_CLASS, projectId]) {
    for (const row of rows) if (row.project_id === owner) quotas[row.resource as QuotaResource] = row.hard_limit;
  }
  return quotas;
}

export async function setQuotas(t: Tx, projectId: string, limits: Partial<Quotas>): Promise<void> {
  for (const [resource, hardLimit] of Object.entries(limits)) {
    await t
      .tables<ComputeTables>()
      .insertInto("compute_quotas")
      .values({ project_id: projectId, resource, hard_limit: hardLimit })
      .onConflict((c) => c.columns(["project_id", "resource"]).doUpdateSet({ hard_limit: hardLimit }))
      .execute();
  }
}

export async function deleteQuotas(t: Tx, projectId: string): Promise<void> {
  await t.tables<ComputeTables>().deleteFrom("compute_quotas").where("project_id", "=", projectId).execute();
}

export interface Usage {
  readonly instances: number;
  readonly cores: number;
  /** MiB. */
  readonly ram: number;
  readonly serverGroups: number;
}

/** What a project's servers use, however they are. Servers of one flavor are counted by the database. */
export async function usageOf(q: Queries, projectId: string): Promise<Usage> {
  const kinds = await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select((eb) => ["flavor", eb.fn.countAll<number | bigint | string>().as("count")])
    .where("project_id", "=", projectId)
    .where("deleted_at", "is", null)
    .groupBy("flavor")
    .execute();
  const groups = await q
    .tables<ServerGroupTables>()
    .selectFrom("server_groups")
    .select((eb) => eb.fn.countAll<number | bigint | string>().as("count"))
    .where("project_id", "=", projectId)
    .executeTakeFirstOrThrow();
  let [instances, cores, ram] = [0, 0, 0];
  for (const kind of kinds) {
    const flavor = JSON.parse(kind.flavor) as FlavorSnapshot;
    const count = Number(kind.count);
    instances += count;
    cores += count * flavor.vcpus;
    ram += count * flavor.ramMiB;
  }
  return { instances, cores, ram, serverGroups: Number(groups.count) };
}
