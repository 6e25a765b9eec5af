import type { Migration } from "../../../kernel/store/migrate.ts";

/** Foreign keys carry the documented cascades: a domain takes everything in it along, a user its grants and credentials. */
export const identityMigrations: readonly Migration[] = [
  {
    name: "identity-0001-projects",
    statements: [
      `CREATE TABLE identity_projects (
        id text PRIMARY KEY,
        name text NOT NULL,
        name_key text NOT NULL,
        domain_id text REFERENCES identity_projects (id) ON DELETE CASCADE,
        parent_id text REFERENCES identity_projects (id) ON DELETE CASCADE,
        description text NOT NULL,
        enabled bigint NOT NULL,
        is_domain bigint NOT NULL,
        options text NOT NULL,
        extra text NOT NULL
      )`,
      "CREATE UNIQUE INDEX identity_projects_name ON identity_projects (coalesce(domain_id, ''), name_key)",
      "CREATE INDEX identity_projects_parent ON identity_projects (parent_id)",
      `CREATE TABLE identity_project_tags (
        project_id text NOT NULL REFERENCES identity_projects (id) ON DELETE CASCADE,
        name text NOT NULL,
        PRIMARY KEY (project_id, name)
      )`,
    ],
  },
  {
    name: "identity-0002-users",
    statements: [
      `CREATE TABLE identity_users (
        id text PRIMARY KEY,
        name text NOT NULL,
        name_key text NOT NULL,
        domain_id text NOT NULL REFERENCES identity_projects (id) ON DELETE CASCADE,
        enabled bigint NOT NULL,
        default_project_id text,
        password_hash text,
        password_expires_at bigint,
        options text NOT NULL,
        extra text NOT NULL,
        UNIQUE (domain_id, name_key)
      )`,
      `CREATE TABLE identity_groups (
        id text PRIMARY KEY,
        name text NOT NULL,
        name_key text NOT NULL,
        domain_id text NOT NULL REFERENCES identity_projects (id) ON DELETE CASCADE,
        description text NOT NULL,
        extra text NOT NULL,
        UNIQUE (domain_id, name_key)
      )`,
      `CREATE TABLE identity_memberships (
        group_id text NOT NULL REFERENCES identity_groups (id) ON DELETE CASCADE,
        user_id text NOT NULL REFERENCES identity_users (id) ON DELETE CASCADE,
        PRIMARY KEY (user_id, group_id)
      )`,
      "CREATE INDEX identity_memberships_group ON identity_memberships (group_id)",
    ],
  },
  {
    name: "identity-0003-roles",
    statements: [
      `CREATE TABLE identity_roles (
        id text PRIMARY KEY,
        name text NOT NULL,
        name_key text NOT NULL,
        domain_id text REFERENCES identity_projects (id) ON DELETE CASCADE,
        description text,
        options text NOT NULL,
        extra text NOT NULL
      )`,
      "CREATE UNIQUE INDEX identity_roles_name ON identity_roles (coalesce(domain_id, ''), name_key)",
      `CREATE TABLE identity_implied_roles (
        prior_role_id text NOT NULL REFERENCES identity_roles (id) ON DELETE CASCADE,
        implied_role_id text NOT NULL REFERENCES identity_roles (id) ON DELETE CASCADE,
        PRIMARY KEY (prior_role_id, implied_role_id)
      )`,
      `CREATE TABLE identity_assignments (
        user_id text REFERENCES identity_users (id) ON DELETE CASCADE,
        group_id text REFERENCES identity_groups (id) ON DELETE CASCADE,
        scope text NOT NULL,
        target_id text REFERENCES identity_projects (id) ON DELETE CASCADE,
        role_id text NOT NULL REFERENCES identity_roles (id) ON DELETE CASCADE,
        inherited bigint NOT NULL,
        CHECK ((user_id IS NULL) <> (group_id IS NULL)),
        CHECK ((scope = 'system') = (target_id IS NULL))
      )`,
      `CREATE UNIQUE INDEX identity_assignments_once ON identity_assignments
        (coalesce(user_id, ''), coalesce(group_id, ''), scope, coalesce(target_id, ''), role_id, inherited)`,
      "CREATE INDEX identity_assignments_user ON identity_assignments (user_id)",
      "CREATE INDEX identity_assignments_group ON identity_assignments (group_id)",
      "CREATE INDEX identity_assignments_target ON identity_assignments (target_id)",
    ],
  },
  {
    name: "identity-0004-application-credentials",
    statements: [
      `CREATE TABLE identity_application_credentials (
        id text PRIMARY KEY,
        name text NOT NULL,
        user_id text NOT NULL REFERENCES identity_users (id) ON DELETE CASCADE,
        project_id text NOT NULL REFERENCES identity_projects (id) ON DELETE CASCADE,
        description text,
        secret_hash text NOT NULL,
        expires_at bigint,
        unrestricted bigint NOT NULL,
        UNIQUE (user_id, name)
      )`,
      `CREATE TABLE identity_application_credential_roles (
        credential_id text NOT NULL REFERENCES identity_application_credentials (id) ON DELETE CASCADE,
        role_id text NOT NULL REFERENCES identity_roles (id) ON DELETE CASCADE,
        PRIMARY KEY (credential_id, role_id)
      )`,
      `CREATE TABLE identity_access_rules (
        id text PRIMARY KEY,
        user_id text NOT NULL REFERENCES identity_users (id) ON DELETE CASCADE,
        path text NOT NULL,
        method text NOT NULL,
        service text NOT NULL,
        UNIQUE (user_id, service, path, method)
      )`,
      `CREATE TABLE identity_application_credential_rules (
        credential_id text NOT NULL REFERENCES identity_application_credentials (id) ON DELETE CASCADE,
        rule_id text NOT NULL REFERENCES identity_access_rules (id) ON DELETE CASCADE,
        PRIMARY KEY (credential_id, rule_id)
      )`,
    ],
  },
  {
    name: "identity-0005-catalog",
    statements: [
      `CREATE TABLE identity_regions (
        id text PRIMARY KEY,
        description text NOT NULL,
        parent_region_id text REFERENCES identity_regions (id) ON DELETE CASCADE,
        extra text NOT NULL
      )`,
      `CREATE TABLE identity_services (
        id text PRIMARY KEY,
        type text NOT NULL,
        name text,
        description text,
        enabled bigint NOT NULL,
        extra text NOT NULL
      )`,
      `CREATE TABLE identity_endpoints (
        id text PRIMARY KEY,
        service_id text NOT NULL REFERENCES identity_services (id) ON DELETE CASCADE,
        interface text NOT NULL,
        url text NOT NULL,
        region_id text REFERENCES identity_regions (id),
        enabled bigint NOT NULL,
        name text,
        seeded bigint NOT NULL,
        extra text NOT NULL
      )`,
      "CREATE INDEX identity_endpoints_service ON identity_endpoints (service_id)",
    ],
  },
  {
    name: "identity-0006-tokens",
    statements: [
      "CREATE TABLE identity_signing_keys (kid text PRIMARY KEY, secret text NOT NULL, created_at bigint NOT NULL)",
      `CREATE TABLE identity_revocations (
        serial bigint PRIMARY KEY,
        kind text NOT NULL,
        subject text NOT NULL,
        expires_at bigint NOT NULL
      )`,
    ],
  },
];
