import type { Selectable } from "kysely";

/** A project, or a domain: a domain is a project with `is_domain` and without `domain_id`. */
export interface ProjectTable {
  id: string;
  name: string;
  /** `name` in lower case: names are unique and found without regard to case. */
  name_key: string;
  domain_id: string | null;
  /** A top project's parent is its domain. */
  parent_id: string | null;
  description: string;
  enabled: number;
  is_domain: number;
  /** JSON objects: the documented options, and whatever else clients gave. */
  options: string;
  extra: string;
}
export type ProjectRow = Selectable<ProjectTable>;

export interface ProjectTagTable {
  project_id: string;
  name: string;
}

export interface UserTable {
  id: string;
  name: string;
  name_key: string;
  domain_id: string;
  enabled: number;
  /** May name a project that is gone. */
  default_project_id: string | null;
  /** Null: cannot log in with a password. */
  password_hash: string | null;
  password_expires_at: number | null;
  options: string;
  extra: string;
}
export type UserRow = Selectable<UserTable>;

export interface GroupTable {
  id: string;
  name: string;
  name_key: string;
  domain_id: string;
  description: string;
  extra: string;
}
export type GroupRow = Selectable<GroupTable>;

export interface MembershipTable {
  group_id: string;
  user_id: string;
}

export interface RoleTable {
  id: string;
  name: string;
  name_key: string;
  /** Null: global. Roles of a domain never reach a token; only what they imply does. */
  domain_id: string | null;
  description: string | null;
  options: string;
  extra: string;
}
export type RoleRow = Selectable<RoleTable>;

export interface ImpliedRoleTable {
  prior_role_id: string;
  implied_role_id: string;
}

export type AssignmentScope = "project" | "domain" | "system";

/** A role of exactly one user or group. `target_id` is the project or domain; null for the system. */
export interface AssignmentTable {
  user_id: string | null;
  group_id: string | null;
  scope: AssignmentScope;
  target_id: string | null;
  role_id: string;
  /** 1: holds on the projects below the target instead of on the target. */
  inherited: number;
}
export type AssignmentRow = Selectable<AssignmentTable>;

export interface ApplicationCredentialTable {
  id: string;
  name: string;
  user_id: string;
  project_id: string;
  description: string | null;
  secret_hash: string;
  /** Epoch milliseconds. */
  expires_at: number | null;
  unrestricted: number;
}
export type ApplicationCredentialRow = Selectable<ApplicationCredentialTable>;

export interface ApplicationCredentialRoleTable {
  credential_id: string;
  role_id: string;
}

/** A request that an application credential may make; shared by the credentials of its user. */
export interface AccessRuleTable {
  id: string;
  user_id: string;
  path: string;
  method: string;
  service: string;
}
export type AccessRuleRow = Selectable<AccessRuleTable>;

export interface ApplicationCredentialRuleTable {
  credential_id: string;
  rule_id: string;
}

export interface RegionTable {
  id: string;
  description: string;
  parent_region_id: string | null;
  extra: string;
}
export type RegionRow = Selectable<RegionTable>;

export interface ServiceTable {
  id: string;
  type: string;
  name: string | null;
  description: string | null;
  enabled: number;
  extra: string;
}
export type ServiceRow = Selectable<ServiceTable>;

export type EndpointInterface = "public" | "internal" | "admin";

export interface EndpointTable {
  id: string;
  service_id: string;
  interface: EndpointInterface;
  url: string;
  region_id: string | null;
  enabled: number;
  name: string | null;
  /** 1: made at start; its URL follows the address of the server. */
  seeded: number;
  extra: string;
}
export type EndpointRow = Selectable<EndpointTable>;

export interface SigningKeyTable {
  kid: string;
  /** Base64url. */
  secret: string;
  created_at: number;
}

/** Something that made older tokens invalid, or their roles doubtful. `serial` grows in the order of the commits. */
export interface RevocationTable {
  serial: number;
  kind: string;
  subject: string;
  /** Epoch milliseconds after which every token that this concerns has expired. */
  expires_at: number;
}

export interface IdentityTables {
  identity_projects: ProjectTable;
  identity_project_tags: ProjectTagTable;
  identity_users: UserTable;
  identity_groups: GroupTable;
  identity_memberships: MembershipTable;
  identity_roles: RoleTable;
  identity_implied_roles: ImpliedRoleTable;
  identity_assignments: AssignmentTable;
  identity_application_credentials: ApplicationCredentialTable;
  identity_application_credential_roles: ApplicationCredentialRoleTable;
  identity_access_rules: AccessRuleTable;
  identity_application_credential_rules: ApplicationCredentialRuleTable;
  identity_regions: RegionTable;
  identity_services: ServiceTable;
  identity_endpoints: EndpointTable;
  identity_signing_keys: SigningKeyTable;
  identity_revocations: RevocationTable;
}
