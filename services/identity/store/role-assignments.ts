import type { Queries } from "../../../kernel/store/store.ts";
import { withImplied } from "../domain/implied-roles.ts";
import { readRoleGraph } from "./effective-roles.ts";
import { descendantsOf } from "./projects.ts";
import type { AssignmentRow, AssignmentScope, IdentityTables } from "./tables.ts";

/** One line of the list of role assignments. */
export interface Assignment {
  readonly userId: string | null;
  readonly groupId: string | null;
  readonly roleId: string;
  readonly scope: AssignmentScope;
  readonly targetId: string | null;
  /** What was granted; differs from the above for effective assignments. */
  readonly origin: AssignmentRow;
}

export interface AssignmentFilter {
  readonly userId?: string | undefined;
  readonly groupId?: string | undefined;
  readonly roleId?: string | undefined;
  readonly scope?: AssignmentScope | undefined;
  /** Any of these. */
  readonly targetIds?: readonly string[] | undefined;
  readonly inheritedOnly?: boolean | undefined;
}

/** What was granted, as it was granted. */
export async function directAssignments(queries: Queries, filter: AssignmentFilter): Promise<Assignment[]> {
  const rows = await queries.tables<IdentityTables>().selectFrom("identity_assignments").selectAll().execute();
  return rows
    .map(asGranted)
    .filter((each) => matches(each, filter) && (!filter.inheritedOnly || each.origin.inherited === 1));
}

/** Whom it really gives which role where: groups, inheritance and implied roles expanded. */
export async function effectiveAssignments(queries: Queries, filter: AssignmentFilter): Promise<Assignment[]> {
  const db = queries.tables<IdentityTables>();
  const rows = await db.selectFrom("identity_assignments").selectAll().execute();
  const memberships = await db.selectFrom("identity_memberships").selectAll().execute();
  const members = Map.groupBy(memberships, (row) => row.group_id);
  const graph = await readRoleGraph(queries);
  const domainRoles = await db.selectFrom("identity_roles").select("id").where("domain_id", "is not", null).execute();
  const neverInTokens = new Set(domainRoles.map((row) => row.id));
  const found = new Map<string, Assignment>();
  for (const row of rows) {
    const userIds = row.group_id === null ? [row.user_id] : (members.get(row.group_id) ?? []).map((m) => m.user_id);
    if (filter.userId !== undefined && !userIds.includes(filter.userId)) continue;
    const targets = await targetsOf(queries, row);
    for (const roleId of withImplied([row.role_id], graph)) {
      if (neverInTokens.has(roleId)) continue;
      for (const { scope, targetId } of targets) {
        for (const userId of userIds) {
          const each: Assignment = { userId, groupId: null, roleId, scope, targetId, origin: row };
          const key = `${userId} ${scope} ${targetId} ${roleId}`;
          if (matches(each, filter) && !found.has(key)) found.set(key, each);
        }
      }
    }
  }
  return [...found.values()];
}

function asGranted(origin: AssignmentRow): Assignment {
  return {
    userId: origin.user_id,
    groupId: origin.group_id,
    roleId: origin.role_id,
    scope: origin.scope,
    targetId: origin.target_id,
    origin,
  };
}

async function targetsOf(
  queries: Queries,
  row: AssignmentRow,
): Promise<{ scope: AssignmentScope; targetId: string | null }[]> {
  if (!row.inherited || row.target_id === null) return [{ scope: row.scope, targetId: row.target_id }];
  const below = await descendantsOf(queries, [row.target_id]);
  return below.map((project) => ({ scope: "project", targetId: project.id }));
}

function matches(each: Assignment, filter: AssignmentFilter): boolean {
  return (
    (filter.userId === undefined || each.userId === filter.userId) &&
    (filter.groupId === undefined || each.groupId === filter.groupId) &&
    (filter.roleId === undefined || each.roleId === filter.roleId) &&
    (filter.scope === undefined || each.scope === filter.scope) &&
    (filter.targetIds === undefined || (each.targetId !== null && filter.targetIds.includes(each.targetId)))
  );
}
