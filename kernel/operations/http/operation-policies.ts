import type { RuleDefault } from "../../policy/policy.ts";

/** Targets: `project_id` of the operation, or for a list of the project whose operations are asked for. */
export const operationPolicies: readonly RuleDefault[] = [
  {
    name: "pileus:operations:list",
    rule: "role:admin or (role:reader and project_id:%(project_id)s)",
    description: "List operations of a project and watch them.",
  },
  {
    name: "pileus:operations:show",
    rule: "role:admin or (role:reader and project_id:%(project_id)s)",
    description: "Show an operation, wait for it and watch it.",
  },
  { name: "pileus:operations:cancel", rule: "role:admin", description: "Cancel an operation." },
  { name: "pileus:operations:retry", rule: "role:admin", description: "Try a stuck operation again at once." },
];
