import { type RawBuilder, sql } from "kysely";
import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Route } from "../../../kernel/http/route.ts";
import type { Queries, Store } from "../../../kernel/store/store.ts";
import type { NetworkContext } from "../settings.ts";
import { COMMON_FILTERS, COMMON_SORT, isAlways, isFlag, type ListSource } from "../store/list.ts";
import type { Viewer } from "../store/networks.ts";
import { changedNow } from "../store/revisions.ts";
import { createGroup, ensureDefaultGroup, rulesOf } from "../store/security-groups.ts";
import type { NetworkTables, SecurityGroupRow } from "../store/tables.ts";
import { removeTags, tagsOf } from "../store/tags.ts";
import { changedFlag, commonView, Flag, flagValue, Text } from "./attributes.ts";
import { ownerFields, resourceRoutes, type View } from "./resource.ts";
import { ruleView } from "./security-group-rules.ts";

const common = {
  name: Type.Optional(Text),
  description: Type.Optional(Text),
  stateful: Type.Optional(Flag),
};
const CreateGroup = Type.Object({ ...ownerFields, ...common }, { additionalProperties: false });
const UpdateGroup = Type.Object(common, { additionalProperties: false });

export const securityGroupSource: ListSource = {
  table: "security_groups",
  filters: { ...COMMON_FILTERS, stateful: isFlag("stateful"), shared: isAlways("false") },
  sortable: { ...COMMON_SORT, stateful: "stateful" },
};

/** Groups and rules are seen by their project only. */
export function visibleGroups(viewer: Viewer): RawBuilder<boolean> | undefined {
  return viewer.isAdmin ? undefined : sql<boolean>`r.project_id = ${viewer.projectId ?? ""}`;
}

/** Groups are kept and shown; nothing filters traffic by them. */
export function securityGroupRoutes(store: Store, context: NetworkContext): Route[] {
  return resourceRoutes<SecurityGroupRow, typeof CreateGroup, typeof UpdateGroup>(store, {
    singular: "security_group",
    plural: "security_groups",
    path: "/security-groups",
    source: securityGroupSource,
    createBody: CreateGroup,
    updateBody: UpdateGroup,
    visible: visibleGroups,
    async beforeList(t, viewer) {
      if (viewer.projectId !== null) await ensureDefaultGroup(t, context, viewer.projectId);
    },
    views: groupViews,
    async create(t, body, projectId) {
      if (body.name === "default") throw defaultExists();
      await ensureDefaultGroup(t, context, projectId);
      return await createGroup(t, context, {
        projectId,
        name: body.name ?? "",
        description: body.description ?? "",
        stateful: flagValue(body.stateful ?? true) === 1,
      });
    },
    async update(t, row, body) {
      if (row.is_default === 1 && body.name !== undefined && body.name !== row.name) throw fixedDefault("updated");
      return await t
        .tables<NetworkTables>()
        .updateTable("security_groups")
        .set({
          name: body.name ?? row.name,
          description: body.description ?? row.description,
          stateful: changedFlag(body.stateful, row.stateful),
          ...changedNow(context),
        })
        .where("id", "=", row.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    },
    async remove(t, row, viewer) {
      if (row.is_default === 1 && !viewer.isAdmin) throw fixedDefault("removed");
      const db = t.tables<NetworkTables>();
      await removeTags(t, row.id);
      await db.deleteFrom("security_group_rules").where("remote_group_id", "=", row.id).execute();
      await db.deleteFrom("security_groups").where("id", "=", row.id).execute();
    },
    inUse: (row) => new CloudError("conflict", "network.security_group_in_use", `Security Group ${row.id} in use.`),
  });
}

async function groupViews(q: Queries, rows: readonly SecurityGroupRow[]): Promise<View[]> {
  const ids = rows.map((row) => row.id);
  const rules = Map.groupBy(await rulesOf(q, ids), (rule) => rule.security_group_id);
  const tags = await tagsOf(q, ids);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    stateful: row.stateful === 1,
    shared: false,
    security_group_rules: (rules.get(row.id) ?? []).map(ruleView),
    ...commonView(row, tags.get(row.id)),
  }));
}

function defaultExists(): CloudError {
  return new CloudError(
    "conflict",
    "network.security_group_default_already_exists",
    "Default security group already exists.",
  );
}

function fixedDefault(what: "updated" | "removed"): CloudError {
  const verb = what === "removed" ? "remove" : "update";
  return new CloudError(
    "conflict",
    `network.security_group_cannot_${verb}_default`,
    `The default security group cannot be ${what}.`,
  );
}
