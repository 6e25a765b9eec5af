import { sql } from "kysely";
import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Route } from "../../../kernel/http/route.ts";
import type { Store, Tx } from "../../../kernel/store/store.ts";
import { missing } from "../domain/faults.ts";
import { checkedRule, type RuleMatch } from "../domain/security-rule.ts";
import type { NetworkContext } from "../settings.ts";
import { COMMON_FILTERS, COMMON_SORT, isNumber, isText, type ListSource } from "../store/list.ts";
import type { Viewer } from "../store/networks.ts";
import { checkQuota } from "../store/quotas.ts";
import { insertRules, type NewRule } from "../store/security-groups.ts";
import type { NetworkTables, SecurityGroupRow, SecurityGroupRuleRow } from "../store/tables.ts";
import { commonView, Text } from "./attributes.ts";
import { ownerFields, resourceRoutes } from "./resource.ts";

const OptionalUuid = Type.Optional(Type.Union([Type.String({ format: "uuid-like" }), Type.Null()]));
const Port = Type.Optional(
  Type.Union([Type.Integer({ minimum: 0, maximum: 65_535 }), Type.String({ pattern: "^\\d{1,5}$" }), Type.Null()]),
);

const CreateRule = Type.Object(
  {
    ...ownerFields,
    security_group_id: Type.String({ format: "uuid-like" }),
    direction: Type.Union([Type.Literal("ingress"), Type.Literal("egress")]),
    ethertype: Type.Optional(Type.Union([Type.Literal("IPv4"), Type.Literal("IPv6")])),
    protocol: Type.Optional(
      Type.Union([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0, maximum: 255 }), Type.Null()]),
    ),
    port_range_min: Port,
    port_range_max: Port,
    remote_ip_prefix: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
    remote_group_id: OptionalUuid,
    description: Type.Optional(Text),
  },
  { additionalProperties: false },
);

const { name: _name, ...filters } = COMMON_FILTERS;
const { name: _sortName, ...sortable } = COMMON_SORT;

const ruleSource: ListSource = {
  table: "security_group_rules",
  filters: {
    ...filters,
    security_group_id: isText("security_group_id"),
    direction: isText("direction"),
    ethertype: isText("ethertype"),
    protocol: isText("protocol"),
    port_range_min: isNumber("port_range_min"),
    port_range_max: isNumber("port_range_max"),
    remote_ip_prefix: isText("remote_ip_prefix"),
    remote_group_id: isText("remote_group_id"),
  },
  sortable: { ...sortable, direction: "direction", ethertype: "ethertype", security_group_id: "security_group_id" },
};

export function securityGroupRuleRoutes(store: Store, context: NetworkContext): Route[] {
  return resourceRoutes<SecurityGroupRuleRow, typeof CreateRule, never>(store, {
    singular: "security_group_rule",
    plural: "security_group_rules",
    path: "/security-group-rules",
    source: ruleSource,
    createBody: CreateRule,
    visible: (viewer) => (viewer.isAdmin ? undefined : sql<boolean>`r.project_id = ${viewer.projectId ?? ""}`),
    views: async (_q, rows) => rows.map(ruleView),
    async create(t, body, _projectId, viewer) {
      const group = await findGroup(t, body.security_group_id, viewer);
      const remote = body.remote_group_id ?? null;
      if (remote !== null) await findGroup(t, remote, viewer);
      const match = checkedRule({
        direction: body.direction,
        ethertype: body.ethertype ?? "IPv4",
        protocol: body.protocol === undefined || body.protocol === null ? null : String(body.protocol),
        port_range_min: portNumber(body.port_range_min),
        port_range_max: portNumber(body.port_range_max),
        remote_ip_prefix: body.remote_ip_prefix ?? null,
        remote_group_id: remote,
      });
      await checkQuota(t, group.project_id, "security_group_rule", context.quotas);
      await refuseDuplicate(t, group.id, match);
      const rule: NewRule = {
        ...match,
        security_group_id: group.id,
        project_id: group.project_id,
        description: body.description ?? "",
      };
      const [row] = await insertRules(t, context, [rule]);
      if (!row) throw missing("security_group", group.id);
      return row;
    },
    async remove(t, row) {
      await t.tables<NetworkTables>().deleteFrom("security_group_rules").where("id", "=", row.id).execute();
    },
    inUse: (row) =>
      new CloudError("conflict", "network.security_group_rule_in_use", `Security Group Rule ${row.id} in use.`),
  });
}

export function ruleView(row: SecurityGroupRuleRow) {
  return {
    id: row.id,
    security_group_id: row.security_group_id,
    direction: row.direction,
    ethertype: row.ethertype,
    protocol: row.protocol,
    port_range_min: row.port_range_min,
    port_range_max: row.port_range_max,
    remote_ip_prefix: row.remote_ip_prefix,
    remote_group_id: row.remote_group_id,
    description: row.description,
    ...commonView(row, []),
  };
}

async function findGroup(t: Tx, id: string, viewer: Viewer): Promise<SecurityGroupRow> {
  const row = await t
    .tables<NetworkTables>()
    .selectFrom("security_groups")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
  if (!row || (!viewer.isAdmin && row.project_id !== viewer.projectId)) throw missing("security_group", id);
  return row;
}

async function refuseDuplicate(t: Tx, groupId: string, match: RuleMatch): Promise<void> {
  const rows = await t
    .tables<NetworkTables>()
    .selectFrom("security_group_rules")
    .selectAll()
    .where("security_group_id", "=", groupId)
    .execute();
  const same = rows.find((row) => (Object.keys(match) as (keyof RuleMatch)[]).every((key) => row[key] === match[key]));
  if (!same) return;
  throw new CloudError(
    "conflict",
    "network.security_group_rule_exists",
    `Security group rule already exists. Rule id is ${same.id}.`,
  );
}

const portNumber = (value: number | string | null | undefined): number | null =>
  value === undefined || value === null ? null : Number(value);
