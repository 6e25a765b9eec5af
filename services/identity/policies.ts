import type { RuleDefault } from "../../kernel/policy/policy.ts";

/*
 * Keystone's defaults, by its own names. Targets: `target.<kind>.id`, `target.<kind>.domain_id`, `target.role.name`;
 * `target.domain_id` is the domain that a list is about.
 */
const ADMIN = "rule:admin_required";
const SYSTEM_READER = "(role:reader and system_scope:all)";
const ADMIN_OR_SYSTEM_READER = `${ADMIN} or ${SYSTEM_READER}`;

/** Holders of a role on the target's domain. */
const inDomain = (role: string, domain: string): string => `(role:${role} and domain_id:%(${domain})s)`;

const readable = (domain: string, more = ""): string =>
  `${ADMIN_OR_SYSTEM_READER} or ${inDomain("reader", domain)}${more}`;
const managed = (domain: string): string => `${ADMIN} or ${inDomain("manager", domain)}`;

const OWN_USER = " or user_id:%(target.user.id)s";
const OWN_PROJECT = " or project_id:%(target.project.id)s";

/** A domain manager may hand out only what stays below a manager. */
const LESSER_ROLE =
  "('manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s)";

/** Both the one who gets the role and where must lie in the caller's domain. */
const GRANT_IN_DOMAIN =
  "domain_id:%(target.actor_domain_id)s and domain_id:%(target.scope_domain_id)s and (None:%(target.role.domain_id)s or domain_id:%(target.role.domain_id)s)";
const GRANT_READERS = `${ADMIN_OR_SYSTEM_READER} or (role:reader and ${GRANT_IN_DOMAIN})`;
const GRANT_MANAGERS = `${ADMIN} or (role:manager and ${GRANT_IN_DOMAIN} and ${LESSER_ROLE})`;

const rules: Readonly<Record<string, string>> = {
  admin_required: "role:admin",

  "identity:validate_token": `${ADMIN_OR_SYSTEM_READER} or role:service or user_id:%(target.token.user_id)s`,
  "identity:check_token": `${ADMIN_OR_SYSTEM_READER} or user_id:%(target.token.user_id)s`,
  "identity:revoke_token": `${ADMIN} or user_id:%(target.token.user_id)s`,
  "identity:get_auth_catalog": "",
  "identity:get_auth_projects": "",
  "identity:get_auth_domains": "",
  "identity:get_auth_system": "",

  "identity:get_domain": `${ADMIN_OR_SYSTEM_READER} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s`,
  "identity:list_domains": readable("target.domain.id"),
  "identity:create_domain": ADMIN,
  "identity:update_domain": ADMIN,
  "identity:delete_domain": ADMIN,

  "identity:get_project": readable("target.project.domain_id", OWN_PROJECT),
  "identity:list_projects": readable("target.domain_id"),
  "identity:list_user_projects": readable("target.user.domain_id", OWN_USER),
  "identity:create_project": managed("target.project.domain_id"),
  "identity:update_project": managed("target.project.domain_id"),
  "identity:delete_project": managed("target.project.domain_id"),
  "identity:list_project_tags": readable("target.project.domain_id", OWN_PROJECT),
  "identity:get_project_tag": readable("target.project.domain_id", OWN_PROJECT),
  "identity:update_project_tags": managed("target.project.domain_id"),
  "identity:create_project_tag": managed("target.project.domain_id"),
  "identity:delete_project_tags": managed("target.project.domain_id"),
  "identity:delete_project_tag": managed("target.project.domain_id"),

  "identity:get_user": readable("target.user.domain_id", OWN_USER),
  "identity:list_users": readable("target.domain_id"),
  "identity:create_user": managed("target.user.domain_id"),
  "identity:update_user": managed("target.user.domain_id"),
  "identity:delete_user": managed("target.user.domain_id"),

  "identity:get_group": readable("target.group.domain_id"),
  "identity:list_groups": readable("target.domain_id"),
  "identity:list_groups_for_user": readable("target.user.domain_id", OWN_USER),
  "identity:create_group": managed("target.group.domain_id"),
  "identity:update_group": managed("target.group.domain_id"),
  "identity:delete_group": managed("target.group.domain_id"),
  "identity:list_users_in_group": readable("target.group.domain_id"),
  "identity:check_user_in_group": `${ADMIN_OR_SYSTEM_READER} or (role:reader and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  "identity:add_user_to_group": `${ADMIN} or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  "identity:remove_user_from_group": `${ADMIN} or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,

  "identity:get_role": `${ADMIN_OR_SYSTEM_READER} or (role:manager and not domain_id:None and ${LESSER_ROLE})`,
  "identity:list_roles": `${ADMIN_OR_SYSTEM_READER} or (role:manager and not domain_id:None)`,
  "identity:create_role": ADMIN,
  "identity:update_role": ADMIN,
  "identity:delete_role": ADMIN,
  "identity:get_domain_role": ADMIN_OR_SYSTEM_READER,
  "identity:list_domain_roles": ADMIN_OR_SYSTEM_READER,
  "identity:create_domain_role": ADMIN,
  "identity:update_domain_role": ADMIN,
  "identity:delete_domain_role": ADMIN,
  "identity:get_implied_role": ADMIN_OR_SYSTEM_READER,
  "identity:list_implied_roles": ADMIN_OR_SYSTEM_READER,
  "identity:check_implied_role": ADMIN_OR_SYSTEM_READER,
  "identity:create_implied_role": ADMIN,
  "identity:delete_implied_role": ADMIN,
  "identity:list_role_inference_rules": ADMIN_OR_SYSTEM_READER,

  "identity:check_grant": GRANT_READERS,
  "identity:list_grants": GRANT_READERS,
  "identity:create_grant": GRANT_MANAGERS,
  "identity:revoke_grant": GRANT_MANAGERS,
  "identity:list_role_assignments": readable("target.domain_id"),
  "identity:list_role_assignments_for_tree": readable("target.project.domain_id"),

  "identity:get_service": ADMIN_OR_SYSTEM_READER,
  "identity:list_services": ADMIN_OR_SYSTEM_READER,
  "identity:create_service": ADMIN,
  "identity:update_service": ADMIN,
  "identity:delete_service": ADMIN,
  "identity:get_endpoint": ADMIN_OR_SYSTEM_READER,
  "identity:list_endpoints": ADMIN_OR_SYSTEM_READER,
  "identity:create_endpoint": ADMIN,
  "identity:update_endpoint": ADMIN,
  "identity:delete_endpoint": ADMIN,
  "identity:get_region": "",
  "identity:list_regions": "",
  "identity:create_region": ADMIN,
  "identity:update_region": ADMIN,
  "identity:delete_region": ADMIN,

  "identity:get_application_credential": `${ADMIN_OR_SYSTEM_READER} or user_id:%(target.user.id)s`,
  "identity:list_application_credentials": `${ADMIN_OR_SYSTEM_READER} or user_id:%(target.user.id)s`,
  "identity:create_application_credential": "user_id:%(target.user.id)s",
  "identity:delete_application_credential": `${ADMIN} or user_id:%(target.user.id)s`,
  "identity:get_access_rule": `${ADMIN_OR_SYSTEM_READER} or user_id:%(target.user.id)s`,
  "identity:list_access_rules": `${ADMIN_OR_SYSTEM_READER} or user_id:%(target.user.id)s`,
  "identity:delete_access_rule": `${ADMIN} or user_id:%(target.user.id)s`,
};

const systemGrantRules = ["user", "group"].flatMap((actor) => [
  [`identity:list_system_grants_for_${actor}`, ADMIN_OR_SYSTEM_READER],
  [`identity:check_system_grant_for_${actor}`, ADMIN_OR_SYSTEM_READER],
  [`identity:create_system_grant_for_${actor}`, ADMIN],
  [`identity:revoke_system_grant_for_${actor}`, ADMIN],
]);

export const identityPolicies: readonly RuleDefault[] = [...Object.entries(rules), ...systemGrantRules].map(
  ([name = "", rule = ""]) => ({ name, rule, description: describe(name) }),
);

/** `identity:list_user_projects` → `List user projects`. */
function describe(name: string): string {
  const words = name.replace("identity:", "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
