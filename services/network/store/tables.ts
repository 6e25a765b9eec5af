import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";

export interface NetworkTable {
  id: string;
  project_id: string;
  name: string;
  description: string;
  admin_state_up: number;
  shared: number;
  mtu: number;
  /** VXLAN network identifier. */
  segment: number;
  created_at: number;
  updated_at: number;
  revision: number;
}
export type NetworkRow = Selectable<NetworkTable>;

export interface SubnetTable {
  id: string;
  network_id: string;
  project_id: string;
  name: string;
  description: string;
  ip_version: number;
  cidr: string;
  gateway_ip: string | null;
  enable_dhcp: number;
  /** JSON: `Pool[]`. */
  allocation_pools: string;
  /** JSON: addresses. */
  dns_nameservers: string;
  /** JSON: `{destination, nexthop}[]`. */
  host_routes: string;
  ipv6_address_mode: string | null;
  ipv6_ra_mode: string | null;
  /** Key of the address handed out last; the search goes on behind it. */
  cursor_key: string;
  created_at: number;
  updated_at: number;
  revision: number;
}
export type SubnetRow = Selectable<SubnetTable>;

export type PortStatus = "ACTIVE" | "DOWN";

export interface PortTable {
  id: string;
  network_id: string;
  project_id: string;
  name: string;
  description: string;
  mac: string;
  admin_state_up: number;
  status: PortStatus;
  device_id: string;
  device_owner: string;
  /** Empty while the port is not bound. */
  host: string;
  /** The server's creation made this port, and its deletion takes it away. */
  made_for_server: number;
  /** Order of the cards within a server. */
  device_index: number;
  /** Compute's device tag. */
  device_tag: string | null;
  created_at: number;
  updated_at: number;
  revision: number;
}
export type PortRow = Selectable<PortTable>;

export interface PortAddressTable {
  port_id: string;
  subnet_id: string;
  /** Sorts as the address does; see `addressKey`. */
  address_key: string;
  address: string;
  position: number;
}

export interface SecurityGroupTable {
  id: string;
  project_id: string;
  name: string;
  description: string;
  stateful: number;
  is_default: number;
  created_at: number;
  updated_at: number;
  revision: number;
}
export type SecurityGroupRow = Selectable<SecurityGroupTable>;

export interface SecurityGroupRuleTable {
  id: string;
  security_group_id: string;
  project_id: string;
  description: string;
  direction: "ingress" | "egress";
  ethertype: "IPv4" | "IPv6";
  protocol: string | null;
  port_range_min: number | null;
  port_range_max: number | null;
  remote_ip_prefix: string | null;
  remote_group_id: string | null;
  created_at: number;
  updated_at: number;
  revision: number;
}
export type SecurityGroupRuleRow = Selectable<SecurityGroupRuleTable>;

export interface NetworkTables {
  networks: NetworkTable;
  subnets: SubnetTable;
  ports: PortTable;
  port_addresses: PortAddressTable;
  security_groups: SecurityGroupTable;
  security_group_rules: SecurityGroupRuleTable;
  port_security_groups: { port_id: string; security_group_id: string };
  network_quotas: { project_id: string; resource: string; hard_limit: number };
  /** A row per project that creates: whoever counts holds its lock. */
  network_quota_locks: { project_id: string };
  network_tags: { resource_id: string; tag: string };
}

export const networkMigrations: readonly Migration[] = [
  {
    name: "network-0001-networks",
    statements: [
      `CREATE TABLE networks (
        id text PRIMARY KEY, project_id text NOT NULL, name text NOT NULL, description text NOT NULL,
        admin_state_up bigint NOT NULL, shared bigint NOT NULL, mtu bigint NOT NULL, segment bigint NOT NULL UNIQUE,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, revision bigint NOT NULL)`,
      "CREATE INDEX networks_of_project ON networks (project_id)",
      `CREATE TABLE subnets (
        id text PRIMARY KEY, network_id text NOT NULL REFERENCES networks (id), project_id text NOT NULL,
        name text NOT NULL, description text NOT NULL, ip_version bigint NOT NULL, cidr text NOT NULL, gateway_ip text,
        enable_dhcp bigint NOT NULL, allocation_pools text NOT NULL, dns_nameservers text NOT NULL,
        host_routes text NOT NULL, ipv6_address_mode text, ipv6_ra_mode text, cursor_key text NOT NULL,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, revision bigint NOT NULL)`,
      "CREATE INDEX subnets_of_network ON subnets (network_id)",
      `CREATE TABLE ports (
        id text PRIMARY KEY, network_id text NOT NULL REFERENCES networks (id), project_id text NOT NULL,
        name text NOT NULL, description text NOT NULL, mac text NOT NULL, admin_state_up bigint NOT NULL,
        status text NOT NULL, device_id text NOT NULL, device_owner text NOT NULL, host text NOT NULL,
        made_for_server bigint NOT NULL, device_index bigint NOT NULL, device_tag text,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, revision bigint NOT NULL, UNIQUE (network_id, mac))`,
      "CREATE INDEX ports_of_device ON ports (device_id)",
      "CREATE INDEX ports_of_project ON ports (project_id)",
      `CREATE TABLE port_addresses (
        port_id text NOT NULL REFERENCES ports (id) ON DELETE CASCADE, subnet_id text NOT NULL REFERENCES subnets (id),
        address_key text NOT NULL, address text NOT NULL, position bigint NOT NULL, PRIMARY KEY (subnet_id, address_key))`,
      "CREATE INDEX addresses_of_port ON port_addresses (port_id)",
      `CREATE TABLE security_groups (
        id text PRIMARY KEY, project_id text NOT NULL, name text NOT NULL, description text NOT NULL,
        stateful bigint NOT NULL, is_default bigint NOT NULL,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, revision bigint NOT NULL)`,
      "CREATE UNIQUE INDEX default_security_group ON security_groups (project_id) WHERE is_default = 1",
      "CREATE INDEX security_groups_of_project ON security_groups (project_id, name)",
      `CREATE TABLE security_group_rules (
        id text PRIMARY KEY, security_group_id text NOT NULL REFERENCES security_groups (id) ON DELETE CASCADE,
        project_id text NOT NULL, description text NOT NULL, direction text NOT NULL, ethertype text NOT NULL,
        protocol text, port_range_min bigint, port_range_max bigint, remote_ip_prefix text, remote_group_id text,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, revision bigint NOT NULL)`,
      "CREATE INDEX rules_of_security_group ON security_group_rules (security_group_id)",
      `CREATE TABLE port_security_groups (
        port_id text NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
        security_group_id text NOT NULL REFERENCES security_groups (id), PRIMARY KEY (port_id, security_group_id))`,
      "CREATE INDEX ports_of_security_group ON port_security_groups (security_group_id)",
      `CREATE TABLE network_quotas (
        project_id text NOT NULL, resource text NOT NULL, hard_limit bigint NOT NULL, PRIMARY KEY (project_id, resource))`,
      "CREATE TABLE network_quota_locks (project_id text PRIMARY KEY)",
      "CREATE TABLE network_tags (resource_id text NOT NULL, tag text NOT NULL, PRIMARY KEY (resource_id, tag))",
    ],
  },
];
