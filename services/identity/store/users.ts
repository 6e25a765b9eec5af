import type { Queries } from "../../../kernel/store/store.ts";
import type { GroupRow, IdentityTables, UserRow } from "./tables.ts";

export function findUser(queries: Queries, id: string): Promise<UserRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_users")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

export function findUserByName(queries: Queries, domainId: string, name: string): Promise<UserRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_users")
    .selectAll()
    .where("domain_id", "=", domainId)
    .where("name_key", "=", name.toLowerCase())
    .executeTakeFirst();
}

export function findGroup(queries: Queries, id: string): Promise<GroupRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_groups")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

export async function membersOf(queries: Queries, groupId: string): Promise<string[]> {
  const rows = await queries
    .tables<IdentityTables>()
    .selectFrom("identity_memberships")
    .select("user_id")
    .where("group_id", "=", groupId)
    .execute();
  return rows.map((row) => row.user_id);
}
