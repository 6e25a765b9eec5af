import type { RuleDefault } from "../../kernel/policy/policy.ts";

/** The defaults of OpenStack Compute. Everything is project-scoped: other tokens are refused whatever their roles. */

const ALIASES: readonly RuleDefault[] = [
  { name: "context_is_admin", rule: "role:admin", description: "Is an administrator." },
  alias("project_reader_api", "role:reader and project_id:%(project_id)s"),
  alias("project_member_api", "role:member and project_id:%(project_id)s"),
  alias("project_manager_api", "role:manager and project_id:%(project_id)s"),
  alias("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin"),
  alias("project_member_or_admin", "rule:project_member_api or rule:context_is_admin"),
  alias("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin"),
];

const ADMIN = "rule:context_is_admin";
const MANAGER = "rule:project_manager_or_admin";
const MEMBER = "rule:project_member_or_admin";
const READER = "rule:project_reader_or_admin";
const OWN_KEYPAIRS = "(rule:context_is_admin) or user_id:%(user_id)s";
const ANYBODY = "@";

/** Rule → names below `os_compute_api:`. */
const RULES: readonly (readonly [rule: string, names: readonly string[]])[] = [
  [
    ADMIN,
    [
      "os-admin-actions:inject_network_info",
      "os-admin-actions:reset_network",
      "os-admin-actions:reset_state",
      "os-migrate-server:migrate:host",
      "os-migrate-server:migrate_live:host",
      "os-evacuate",
      "os-lock-server:unlock:unlock_override",
      "os-migrations:index:all_projects",
      "os-migrations:index:host",
      "servers:migrations:index:host",
      "servers:migrations:show",
      "os-instance-actions:events",
      "os-instance-actions:events:details",
      "os-services:list",
      "os-services:update",
      "os-services:delete",
      "os-hosts:list",
      "os-hosts:show",
      "os-hypervisors:list",
      "os-hypervisors:list-detail",
      "os-hypervisors:show",
      "os-hypervisors:uptime",
      "os-hypervisors:statistics",
      "os-hypervisors:search",
      "os-hypervisors:servers",
      "os-extended-server-attributes",
      "servers:show:host_status",
      "servers:show:host_status:unknown-only",
      "servers:index:get_all_tenants",
      "servers:detail:get_all_tenants",
      "servers:allow_all_filters",
      "servers:create:forced_host",
      "compute:servers:create:requested_destination",
      "os-server-diagnostics",
      "os-attach-interfaces:other_project",
      "os-flavor-manage:create",
      "os-flavor-manage:update",
      "os-flavor-manage:delete",
      "os-flavor-access",
      "os-flavor-access:add_tenant_access",
      "os-flavor-access:remove_tenant_access",
      "os-flavor-extra-specs:create",
      "os-flavor-extra-specs:update",
      "os-flavor-extra-specs:delete",
      "flavors:all",
      "limits:other_project",
      "os-quota-sets:update",
      "os-quota-sets:delete",
      "os-quota-class-sets:show",
      "os-quota-class-sets:update",
      "os-availability-zone:detail",
      "os-aggregates:index",
      "os-aggregates:show",
      "os-aggregates:create",
      "os-aggregates:update",
      "os-aggregates:delete",
      "os-aggregates:add_host",
      "os-aggregates:remove_host",
      "os-aggregates:set_metadata",
      "os-server-groups:index:all_projects",
      "os-simple-tenant-usage:list",
    ],
  ],
  [
    MANAGER,
    [
      "os-migrate-server:migrate",
      "os-migrate-server:migrate_live",
      "os-migrations:index",
      "servers:migrations:index",
      "servers:migrations:force_complete",
      "servers:migrations:delete",
    ],
  ],
  [
    MEMBER,
    [
      "servers:create",
      "servers:create:attach_network",
      "servers:update",
      "servers:delete",
      "servers:start",
      "servers:stop",
      "servers:reboot",
      "servers:resize",
      "servers:confirm_resize",
      "servers:revert_resize",
      "os-deferred-delete:force",
      "os-pause-server:pause",
      "os-pause-server:unpause",
      "os-lock-server:lock",
      "os-lock-server:unlock",
      "server-metadata:create",
      "server-metadata:update",
      "server-metadata:update_all",
      "server-metadata:delete",
      "os-server-tags:update",
      "os-server-tags:update_all",
      "os-server-tags:delete",
      "os-server-tags:delete_all",
      "os-attach-interfaces:create",
      "os-attach-interfaces:delete",
      "os-console-output",
      "os-security-groups:add",
      "os-security-groups:remove",
      "os-remote-consoles",
      "os-server-groups:create",
      "os-server-groups:delete",
    ],
  ],
  [
    READER,
    [
      "servers:index",
      "servers:detail",
      "servers:show",
      "server-metadata:index",
      "server-metadata:show",
      "os-server-tags:index",
      "os-server-tags:show",
      "ips:index",
      "ips:show",
      "os-attach-interfaces:list",
      "os-security-groups:list",
      "os-security-groups:get",
      "os-security-groups:show",
      "os-attach-interfaces:show",
      "os-volumes-attachments:index",
      "os-volumes-attachments:show",
      "os-instance-actions:list",
      "os-instance-actions:show",
      "os-flavor-extra-specs:index",
      "os-flavor-extra-specs:show",
      "os-quota-sets:show",
      "os-quota-sets:detail",
      "os-server-groups:index",
      "os-server-groups:show",
      "os-simple-tenant-usage:show",
      "servers:show:flavor-extra-specs",
    ],
  ],
  [OWN_KEYPAIRS, ["os-keypairs:index", "os-keypairs:show", "os-keypairs:create", "os-keypairs:delete"]],
  [
    ANYBODY,
    ["extensions", "limits", "os-availability-zone:list", "os-quota-sets:defaults", "flavors:index", "flavors:show"],
  ],
];

export const computePolicies: readonly RuleDefault[] = [
  ...ALIASES,
  ...RULES.flatMap(([rule, names]) =>
    names.map((name): RuleDefault => {
      const full = name.startsWith("compute:") ? name : `os_compute_api:${name}`;
      return { name: full, rule, description: `Compute: ${name}.`, scopeTypes: ["project"] };
    }),
  ),
];

function alias(name: string, rule: string): RuleDefault {
  return { name, rule, description: `Alias of Compute's rules: ${name}.` };
}
