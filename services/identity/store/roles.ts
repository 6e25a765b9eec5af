import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityTables, RoleRow } from "./tables.ts";

export function findRole(queries: Queries, id: string): Promise<RoleRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_roles")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

/** Among the global roles. */
export function findRoleByName(queries: Queries, name: string): Promise<RoleRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_roles")
    .selectAll()
    .where("name_key", "=", name.toLowerCase())
    .where("domain_id", "is", null)
    .executeTakeFirst();
}

export function findRoles(queries: Queries, ids: readonly string[]): Promise<RoleRow[]> {
  if (ids.length === 0) return Promise.resolve([]);
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_roles")
    .selectAll()
    .where("id", "in", ids)
    .orderBy("name_key")
    .execute();
}
