import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { notFound } from "../errors.ts";
import { EVERYONE, type Revocation } from "../tokens/revocations.ts";
import type { AssignmentScope, IdentityTables, RoleRow } from "./tables.ts";

/** To whom and where; exactly one of user and group is set. */
export interface AssignmentKey {
  readonly userId: string | null;
  readonly groupId: string | null;
  readonly scope: AssignmentScope;
  readonly targetId: string | null;
  readonly inherited: boolean;
}

export function rolesAssigned(queries: Queries, key: AssignmentKey): Promise<RoleRow[]> {
  return matching(queries, key)
    .innerJoin("identity_roles as role", "role.id", "grant.role_id")
    .selectAll("role")
    .orderBy("role.name_key")
    .execute();
}

export async function hasAssignment(queries: Queries, key: AssignmentKey, roleId: string): Promise<boolean> {
  const row = await matching(queries, key)
    .select("grant.role_id")
    .where("grant.role_id", "=", roleId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Granting twice is no error. */
export async function addAssignment(t: Tx, revoked: Revocation[], key: AssignmentKey, roleId: string): Promise<void> {
  await t
    .tables<IdentityTables>()
    .insertInto("identity_assignments")
    .values({
      user_id: key.userId,
      group_id: key.groupId,
      scope: key.scope,
      target_id: key.targetId,
      role_id: roleId,
      inherited: key.inherited ? 1 : 0,
    })
    .onConflict((c) => c.doNothing())
    .execute();
  revoked.push(staleRoles(key));
}

/**
 * 404 when there is no such grant. The user's application credentials for the project go along: they were made from
 * what the user could do there.
 */
export async function removeAssignment(
  t: Tx,
  revoked: Revocation[],
  key: AssignmentKey,
  roleId: string,
): Promise<void> {
  const db = t.tables<IdentityTables>();
  const { numDeletedRows } = await db
    .deleteFrom("identity_assignments")
    .where("user_id", key.userId === null ? "is" : "=", key.userId)
    .where("group_id", key.groupId === null ? "is" : "=", key.groupId)
    .where("scope", "=", key.scope)
    .where("target_id", key.targetId === null ? "is" : "=", key.targetId)
    .where("inherited", "=", key.inherited ? 1 : 0)
    .where("role_id", "=", roleId)
    .executeTakeFirst();
  if (numDeletedRows === 0n) throw notFound("role assignment", roleId);
  revoked.push(staleRoles(key));
  if (key.userId === null || key.scope !== "project" || key.targetId === null) return;
  const credentials = await db
    .deleteFrom("identity_application_credentials")
    .where("user_id", "=", key.userId)
    .where("project_id", "=", key.targetId)
    .returning("id")
    .execute();
  for (const { id } of credentials) revoked.push({ kind: "credential", subject: id });
}

function staleRoles(key: AssignmentKey): Revocation {
  return { kind: "roles", subject: key.userId ?? EVERYONE };
}

function matching(queries: Queries, key: AssignmentKey) {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_assignments as grant")
    .where("grant.user_id", key.userId === null ? "is" : "=", key.userId)
    .where("grant.group_id", key.groupId === null ? "is" : "=", key.groupId)
    .where("grant.scope", "=", key.scope)
    .where("grant.target_id", key.targetId === null ? "is" : "=", key.targetId)
    .where("grant.inherited", "=", key.inherited ? 1 : 0);
}
