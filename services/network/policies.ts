import type { RuleDefault } from "../../kernel/policy/policy.ts";

/** Neutron's defaults. */

const ADMIN = "role:admin";
const MEMBER = "role:admin or (role:member and project_id:%(project_id)s)";
const READER = "role:admin or (role:reader and project_id:%(project_id)s)";
const SHARED_READER = `${READER} or (role:reader and True:%(shared)s)`;
/** The project that owns the network of a subnet or port. */
const NETWORK_OWNER = "role:admin or (role:member and project_id:%(network:project_id)s)";
const NETWORK_OWNER_OR_SHARED = `${NETWORK_OWNER} or (role:member and True:%(network:shared)s)`;
const PARENT_READER = `${READER} or (role:reader and project_id:%(network:project_id)s)`;
const PARENT_MEMBER = `${MEMBER} or (role:member and project_id:%(network:project_id)s)`;

const rule = (name: string, text: string, description: string): RuleDefault => ({
  name,
  rule: text,
  description,
  scopeTypes: ["project"],
});

function crud(what: string, label: string, texts: { create: string; get: string; update?: string; delete: string }) {
  return [
    rule(`create_${what}`, texts.create, `Create a ${label}`),
    rule(`get_${what}`, texts.get, `List and show ${label}s`),
    ...(texts.update === undefined ? [] : [rule(`update_${what}`, texts.update, `Update a ${label}`)]),
    rule(`delete_${what}`, texts.delete, `Delete a ${label}`),
  ];
}

export const networkPolicies: readonly RuleDefault[] = [
  { name: "context_is_admin", rule: "role:admin", description: "Who is an administrator" },
  ...crud("network", "network", { create: MEMBER, get: SHARED_READER, update: MEMBER, delete: MEMBER }),
  rule("create_network:shared", ADMIN, "Create a network that every project may use"),
  rule("update_network:shared", ADMIN, "Share a network, or stop sharing it"),
  rule("create_network:router:external", ADMIN, "Create an external network"),
  rule("update_network:router:external", ADMIN, "Make a network external"),
  rule("create_network:provider:network_type", ADMIN, "Choose how a network is carried"),
  rule("create_network:provider:physical_network", ADMIN, "Choose where a network is carried"),
  rule("create_network:provider:segmentation_id", ADMIN, "Choose a network's segment"),
  rule("get_network:provider:segmentation_id", ADMIN, "See how a network is carried"),
  ...crud("subnet", "subnet", {
    create: NETWORK_OWNER,
    get: `${PARENT_READER} or (role:reader and True:%(network:shared)s)`,
    update: PARENT_MEMBER,
    delete: PARENT_MEMBER,
  }),
  ...crud("port", "port", {
    create: MEMBER,
    get: PARENT_READER,
    update: MEMBER,
    delete: PARENT_MEMBER,
  }),
  rule("create_port:mac_address", NETWORK_OWNER, "Choose the MAC address of a new port"),
  rule("create_port:fixed_ips:ip_address", NETWORK_OWNER, "Choose the addresses of a new port"),
  rule("create_port:fixed_ips:subnet_id", NETWORK_OWNER_OR_SHARED, "Choose the subnets of a new port"),
  rule("create_port:binding:host_id", ADMIN, "Bind a new port to a host"),
  rule("update_port:mac_address", ADMIN, "Change a port's MAC address"),
  rule("update_port:fixed_ips:ip_address", NETWORK_OWNER, "Choose a port's addresses"),
  rule("update_port:fixed_ips:subnet_id", NETWORK_OWNER_OR_SHARED, "Choose a port's subnets"),
  rule("update_port:binding:host_id", ADMIN, "Bind a port to a host"),
  rule("get_port:binding:host_id", ADMIN, "See where a port is bound"),
  ...crud("security_group", "security group", { create: MEMBER, get: READER, update: MEMBER, delete: MEMBER }),
  ...crud("security_group_rule", "security group rule", { create: MEMBER, get: READER, delete: MEMBER }),
  rule("get_quota", READER, "See a project's quotas"),
  rule("list_quotas", ADMIN, "See the quotas of all projects that have their own"),
  rule("update_quota", ADMIN, "Change a project's quotas"),
  rule("delete_quota", ADMIN, "Reset a project's quotas"),
  rule("get_availability_zone", "role:reader or role:admin", "List availability zones"),
  rule("get_agent", ADMIN, "List network agents"),
];
