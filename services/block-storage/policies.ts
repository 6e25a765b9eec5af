import type { RuleDefault } from "../../kernel/policy/policy.ts";
import { VOLUME_ADMIN_RULES, VOLUME_MEMBER_RULES, VOLUME_READER_RULES } from "./volume-policies.ts";

/** The defaults of OpenStack Block Storage. Everything is project-scoped: other tokens are refused whatever their roles. */

const ADMIN = "rule:admin_api";
export const MEMBER = "rule:admin_api or (role:member and project_id:%(project_id)s)";
export const READER = "rule:admin_api or (role:reader and project_id:%(project_id)s)";

/** Rule → names. A name stands here once a route asks for it. */
const RULES: readonly (readonly [rule: string, names: readonly string[]])[] = [
  [
    ADMIN,
    [
      "volume_extension:services:index",
      "volume_extension:services:update",
      "volume:freeze_host",
      "volume:thaw_host",
      "volume:failover_host",
      "workers:cleanup",
      "scheduler_extension:scheduler_stats:get_pools",
      "volume_extension:capabilities",
      "volume_extension:hosts",
      "clusters:get_all",
      "clusters:get",
      "clusters:update",
    ],
  ],
  [ADMIN, VOLUME_ADMIN_RULES],
  [MEMBER, VOLUME_MEMBER_RULES],
  [READER, VOLUME_READER_RULES],
];

export const blockStoragePolicies: readonly RuleDefault[] = [
  { name: "admin_api", rule: "role:admin", description: "Block Storage: is an administrator." },
  ...RULES.flatMap(([rule, names]) =>
    names.map((name): RuleDefault => ({ name, rule, description: `Block Storage: ${name}.`, scopeTypes: ["project"] })),
  ),
];
