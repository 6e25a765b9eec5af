import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { MigrationStatus, MigrationType } from "../domain/migration-state.ts";
import type { PowerState, TaskState, VmState } from "../domain/server-state.ts";
import { aggregateMigration } from "./aggregate-tables.ts";
import { type BlockDeviceTable, blockDeviceMigration } from "./block-device-tables.ts";
import { serverGroupMigration } from "./group-tables.ts";

export type RootStorage = "local" | "shared" | "volume";

export interface ServerTable {
  id: string;
  /** For `instance-0000002a`. */
  number: number;
  project_id: string;
  user_id: string;
  name: string;
  description: string | null;
  hostname: string;
  vm_state: VmState;
  task_state: TaskState | null;
  power_state: PowerState;
  host: string | null;
  /** JSON of FlavorSnapshot: what the server was created with, unaffected by later changes of the flavor. */
  flavor: string;
  /** Empty for a server that boots from a volume. */
  image_id: string;
  /** JSON of the image's properties at creation. */
  image_properties: string;
  /** Where the root disk lives: on its host, in the store that hosts share, or on a volume, and then the host has no disk of it. */
  storage: RootStorage;
  requested_zone: string | null;
  zone: string | null;
  key_name: string | null;
  public_key: string | null;
  /** JSON objects and lists. */
  metadata: string;
  tags: string;
  scheduler_hints: string;
  security_groups: string;
  user_data: string | null;
  config_drive: number;
  disk_config: string;
  /** Addresses that the owner announces; the cloud does nothing with them. */
  access_ipv4: string | null;
  access_ipv6: string | null;
  reservation_id: string;
  launch_index: number;
  locked: number;
  locked_by_admin: number;
  locked_reason: string | null;
  /** JSON of StoredFault. */
  fault: string | null;
  created_at: number;
  updated_at: number;
  launched_at: number | null;
  deleted_at: number | null;
  /** Grows with every change of the row, so that what was made of it is known to be current. */
  revision: number;
}
export type ServerRow = Selectable<ServerTable>;

export interface FlavorSnapshot {
  readonly number: number;
  readonly id: string;
  readonly name: string;
  readonly vcpus: number;
  readonly ramMiB: number;
  readonly diskGiB: number;
  readonly ephemeralGiB: number;
  readonly swapMiB: number;
  readonly extraSpecs: Readonly<Record<string, string>>;
}

export interface StoredFault {
  readonly code: number;
  readonly message: string;
  readonly details: string | null;
  readonly created: number;
}

export interface FlavorTable {
  number: number;
  id: string;
  name: string;
  vcpus: number;
  ram_mib: number;
  disk_gib: number;
  ephemeral_gib: number;
  swap_mib: number;
  is_public: number;
  disabled: number;
  rxtx_factor: number;
  description: string | null;
  extra_specs: string;
  created_at: number;
}
export type FlavorRow = Selectable<FlavorTable>;

export interface FlavorAccessTable {
  flavor_id: string;
  project_id: string;
}

export interface KeypairTable {
  number: number;
  user_id: string;
  name: string;
  type: string;
  public_key: string;
  fingerprint: string;
  created_at: number;
}
export type KeypairRow = Selectable<KeypairTable>;

/** One row per nova-compute: what the host has, and how much of it is promised. */
export interface ComputeHostTable {
  host: string;
  /** Id of the hypervisor. */
  uuid: string;
  number: number;
  /** JSON of ComputeFacts. */
  facts: string;
  vcpus: number;
  ram_mib: number;
  disk_gib: number;
  vcpus_used: number;
  ram_used_mib: number;
  disk_used_gib: number;
  zone: string;
  created_at: number;
  updated_at: number;
}
export type ComputeHostRow = Selectable<ComputeHostTable>;

/**
 * Room that a server holds on a host. A row beside the one on the server's own host says that the other host may have
 * something of the server: a migration is under way, or a clean-up is due. No such host is chosen for that server.
 */
export interface AllocationTable {
  server_id: string;
  host: string;
  vcpus: number;
  ram_mib: number;
  disk_gib: number;
  created_at: number;
}
export type AllocationRow = Selectable<AllocationTable>;

export interface MigrationTable {
  number: number;
  uuid: string;
  server_id: string;
  type: MigrationType;
  status: MigrationStatus;
  source_host: string;
  dest_host: string | null;
  /** Address of the destination. */
  dest_address: string | null;
  old_flavor_number: number;
  new_flavor_number: number;
  operation_id: string;
  user_id: string;
  project_id: string;
  created_at: number;
  updated_at: number;
}
export type MigrationRow = Selectable<MigrationTable>;

/** What the user asked for and when; the events come from the operation's journal. */
export interface InstanceActionTable {
  id: string;
  server_id: string;
  request_id: string;
  action: string;
  user_id: string;
  project_id: string;
  operation_id: string | null;
  /** Null or `Error`. */
  message: string | null;
  started_at: number;
  updated_at: number;
}
export type InstanceActionRow = Selectable<InstanceActionTable>;

export interface QuotaTable {
  project_id: string;
  resource: string;
  hard_limit: number;
}

export interface ConsoleTable {
  token_hash: string;
  server_id: string;
  type: string;
  expires_at: number;
}

export interface ComputeTables {
  servers: ServerTable;
  flavors: FlavorTable;
  flavor_access: FlavorAccessTable;
  keypairs: KeypairTable;
  compute_hosts: ComputeHostTable;
  allocations: AllocationTable;
  migrations: MigrationTable;
  instance_actions: InstanceActionTable;
  compute_quotas: QuotaTable;
  console_tokens: ConsoleTable;
  server_block_devices: BlockDeviceTable;
}

export const computeMigrations: readonly Migration[] = [
  {
    name: "compute-0001-servers",
    statements: [
      `CREATE TABLE servers (
        id text PRIMARY KEY, number bigint NOT NULL UNIQUE, project_id text NOT NULL, user_id text NOT NULL, name text NOT NULL,
        description text, hostname text NOT NULL, vm_state text NOT NULL, task_state text, power_state bigint NOT NULL, host text,
        flavor text NOT NULL, image_id text NOT NULL, image_properties text NOT NULL, storage text NOT NULL, requested_zone text, zone text,
        key_name text, public_key text, metadata text NOT NULL, tags text NOT NULL, scheduler_hints text NOT NULL,
        security_groups text NOT NULL, user_data text, config_drive bigint NOT NULL, disk_config text NOT NULL,
        access_ipv4 text, access_ipv6 text, reservation_id text NOT NULL, launch_index bigint NOT NULL, locked bigint NOT NULL, locked_by_admin bigint NOT NULL,
        locked_reason text, fault text, created_at bigint NOT NULL, updated_at bigint NOT NULL, launched_at bigint, deleted_at bigint)`,
      "CREATE INDEX servers_of_project ON servers (project_id, created_at, id) WHERE deleted_at IS NULL",
      "CREATE INDEX servers_by_age ON servers (created_at, id) WHERE deleted_at IS NULL",
      "CREATE INDEX servers_on_host ON servers (host) WHERE deleted_at IS NULL",
      "CREATE INDEX servers_changed ON servers (updated_at)",
      `CREATE TABLE flavors (
        number bigint PRIMARY KEY, id text NOT NULL UNIQUE, name text NOT NULL UNIQUE, vcpus bigint NOT NULL, ram_mib bigint NOT NULL,
        disk_gib bigint NOT NULL, ephemeral_gib bigint NOT NULL, swap_mib bigint NOT NULL, is_public bigint NOT NULL,
        disabled bigint NOT NULL, rxtx_factor double precision NOT NULL, description text, extra_specs text NOT NULL, created_at bigint NOT NULL)`,
      "CREATE TABLE flavor_access (flavor_id text NOT NULL, project_id text NOT NULL, PRIMARY KEY (flavor_id, project_id))",
      `CREATE TABLE keypairs (
        number bigint NOT NULL, user_id text NOT NULL, name text NOT NULL, type text NOT NULL, public_key text NOT NULL,
        fingerprint text NOT NULL, created_at bigint NOT NULL, PRIMARY KEY (user_id, name))`,
      `CREATE TABLE compute_hosts (
        host text PRIMARY KEY, uuid text NOT NULL UNIQUE, number bigint NOT NULL UNIQUE, facts text NOT NULL,
        vcpus bigint NOT NULL, ram_mib bigint NOT NULL, disk_gib bigint NOT NULL,
        vcpus_used bigint NOT NULL, ram_used_mib bigint NOT NULL, disk_used_gib bigint NOT NULL,
        zone text NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL)`,
      `CREATE TABLE allocations (
        server_id text NOT NULL, host text NOT NULL, vcpus bigint NOT NULL, ram_mib bigint NOT NULL, disk_gib bigint NOT NULL,
        created_at bigint NOT NULL, PRIMARY KEY (server_id, host))`,
      "CREATE INDEX allocations_on_host ON allocations (host)",
      `CREATE TABLE migrations (
        number bigint PRIMARY KEY, uuid text NOT NULL UNIQUE, server_id text NOT NULL, type text NOT NULL, status text NOT NULL,
        source_host text NOT NULL, dest_host text, dest_address text, old_flavor_number bigint NOT NULL, new_flavor_number bigint NOT NULL,
        operation_id text NOT NULL, user_id text NOT NULL, project_id text NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL)`,
      "CREATE INDEX migrations_of_server ON migrations (server_id)",
      "CREATE INDEX migrations_by_age ON migrations (created_at, number)",
      "CREATE INDEX migrations_from ON migrations (source_host, status)",
      "CREATE INDEX migrations_to ON migrations (dest_host, status)",
      `CREATE TABLE instance_actions (
        id text PRIMARY KEY, server_id text NOT NULL, request_id text NOT NULL, action text NOT NULL, user_id text NOT NULL,
        project_id text NOT NULL, operation_id text, message text, started_at bigint NOT NULL, updated_at bigint NOT NULL)`,
      "CREATE INDEX instance_actions_of_server ON instance_actions (server_id, started_at)",
      "CREATE INDEX instance_actions_by_request ON instance_actions (request_id)",
      "CREATE TABLE compute_quotas (project_id text NOT NULL, resource text NOT NULL, hard_limit bigint NOT NULL, PRIMARY KEY (project_id, resource))",
      "CREATE TABLE console_tokens (token_hash text PRIMARY KEY, server_id text NOT NULL, type text NOT NULL, expires_at bigint NOT NULL)",
    ],
  },
  serverGroupMigration,
  aggregateMigration,
  {
    name: "compute-0004-server-revisions",
    statements: ["ALTER TABLE servers ADD COLUMN revision bigint NOT NULL DEFAULT 0"],
  },
  blockDeviceMigration,
  {
    // A list by part of a name looks at every name: in the index, not in the rows, which are a hundred times as large.
    name: "compute-0006-names-in-lists",
    statements: [
      "DROP INDEX servers_of_project",
      "DROP INDEX servers_by_age",
      "CREATE INDEX servers_of_project ON servers (project_id, created_at, id, name) WHERE deleted_at IS NULL",
      "CREATE INDEX servers_by_age ON servers (created_at, id, name) WHERE deleted_at IS NULL",
    ],
  },
];
