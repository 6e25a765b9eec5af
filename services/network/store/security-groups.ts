import type { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { NetworkContext } from "../settings.ts";
import { checkQuota } from "./quotas.ts";
import type { NetworkTables, SecurityGroupRow, SecurityGroupRuleRow } from "./tables.ts";

export interface NewSecurityGroup {
  readonly projectId: string;
  readonly name: string;
  readonly description: string;
  readonly stateful: boolean;
}

export type NewRule = Pick<
  SecurityGroupRuleRow,
  | "security_group_id"
  | "project_id"
  | "description"
  | "direction"
  | "ethertype"
  | "protocol"
  | "port_range_min"
  | "port_range_max"
  | "remote_ip_prefix"
  | "remote_group_id"
>;

const ETHERTYPES = ["IPv4", "IPv6"] as const;

/** The project's group `default`, made when it is first needed. */
export async function ensureDefaultGroup(t: Tx, context: NetworkContext, projectId: string): Promise<string> {
  const existing = await defaultGroupOf(t, projectId);
  if (existing !== undefined) return existing;
  const row = groupRow(context, {
    projectId,
    name: "default",
    description: "Default security group",
    stateful: true,
  });
  const inserted = await t
    .tables<NetworkTables>()
    .insertInto("security_groups")
    .values({ ...row, is_default: 1 })
    .onConflict((c) => c.doNothing())
    .returning("id")
    .executeTakeFirst();
  if (!inserted) return (await defaultGroupOf(t, projectId)) ?? row.id;
  await insertRules(t, context, egressRules(row));
  await insertRules(
    t,
    context,
    ETHERTYPES.map((ethertype) => ({ ...openRule(row), direction: "ingress", ethertype, remote_group_id: row.id })),
  );
  return row.id;
}

/** A new group lets everything out and nothing in. */
export async function createGroup(t: Tx, context: NetworkContext, group: NewSecurityGroup): Promise<SecurityGroupRow> {
  await checkQuota(t, group.projectId, "security_group", context.quotas);
  const row = groupRow(context, group);
  await t.tables<NetworkTables>().insertInto("security_groups").values(row).execute();
  await insertRules(t, context, egressRules(row));
  return row;
}

export async function insertRules(
  t: Tx,
  context: NetworkContext,
  rules: readonly NewRule[],
): Promise<SecurityGroupRuleRow[]> {
  const now = context.clock.now();
  const rows = rules.map((rule) => ({
    ...rule,
    id: context.ids.uuid(),
    created_at: now,
    updated_at: now,
    revision: 0,
  }));
  await t.tables<NetworkTables>().insertInto("security_group_rules").values(rows).execute();
  return rows;
}

export async function rulesOf(q: Queries, groupIds: readonly string[]): Promise<SecurityGroupRuleRow[]> {
  if (groupIds.length === 0) return [];
  return await q
    .tables<NetworkTables>()
    .selectFrom("security_group_rules")
    .selectAll()
    .where("security_group_id", "in", groupIds)
    .orderBy("created_at")
    .orderBy("id")
    .execute();
}

/** Ids of a project's groups given by id or name. Throws what `fault` makes of one that does not exist. */
export async function resolveGroups(
  t: Tx,
  projectId: string,
  namesOrIds: readonly string[],
  fault: (what: "security_group", id: string) => CloudError,
): Promise<string[]> {
  const rows = await t
    .tables<NetworkTables>()
    .selectFrom("security_groups")
    .select(["id", "name"])
    .where("project_id", "=", projectId)
    .execute();
  const resolved = namesOrIds.map((wanted) => {
    const found = rows.find((row) => row.id === wanted) ?? rows.find((row) => row.name === wanted);
    if (!found) throw fault("security_group", wanted);
    return found.id;
  });
  return [...new Set(resolved)];
}

async function defaultGroupOf(t: Tx, projectId: string): Promise<string | undefined> {
  const row = await t
    .tables<NetworkTables>()
    .selectFrom("security_groups")
    .select("id")
    .where("project_id", "=", projectId)
    .where("is_default", "=", 1)
    .executeTakeFirst();
  return row?.id;
}

function groupRow(context: NetworkContext, group: NewSecurityGroup): SecurityGroupRow {
  const now = context.clock.now();
  return {
    id: context.ids.uuid(),
    project_id: group.projectId,
    name: group.name,
    description: group.description,
    stateful: group.stateful ? 1 : 0,
    is_default: 0,
    created_at: now,
    updated_at: now,
    revision: 1,
  };
}

function openRule(group: SecurityGroupRow) {
  return {
    security_group_id: group.id,
    project_id: group.project_id,
    description: "",
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: null,
  };
}

function egressRules(group: SecurityGroupRow): NewRule[] {
  return ETHERTYPES.map((ethertype) => ({ ...openRule(group), direction: "egress", ethertype }));
}
