import type { Queries } from "../../../kernel/store/store.ts";
import type { AccessRuleRow, ApplicationCredentialRow, IdentityTables, RoleRow } from "./tables.ts";

export function findCredential(queries: Queries, id: string): Promise<ApplicationCredentialRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_application_credentials")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

export function findCredentialByName(
  queries: Queries,
  userId: string,
  name: string,
): Promise<ApplicationCredentialRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_application_credentials")
    .selectAll()
    .where("user_id", "=", userId)
    .where("name", "=", name)
    .executeTakeFirst();
}

/** The roles that were given to a credential, without what they imply. */
export function rolesOfCredential(queries: Queries, credentialId: string): Promise<RoleRow[]> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_application_credential_roles as link")
    .innerJoin("identity_roles as role", "role.id", "link.role_id")
    .selectAll("role")
    .where("link.credential_id", "=", credentialId)
    .orderBy("role.name_key")
    .execute();
}

export function accessRulesOfCredential(queries: Queries, credentialId: string): Promise<AccessRuleRow[]> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_application_credential_rules as link")
    .innerJoin("identity_access_rules as rule", "rule.id", "link.rule_id")
    .selectAll("rule")
    .where("link.credential_id", "=", credentialId)
    .orderBy("rule.id")
    .execute();
}

export async function hasAccessRules(queries: Queries, credentialId: string): Promise<boolean> {
  return (await accessRulesOfCredential(queries, credentialId)).length > 0;
}
