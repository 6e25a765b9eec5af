import type { Selectable } from "kysely";
import type { Migration } from "../store/migrate.ts";

export interface HostTable {
  id: string;
  name: string;
  credential_hash: string;
  /** Changes with each start of the agent process; null before the first poll. */
  boot_id: string | null;
  /** Epoch milliseconds of the last poll, written in bulk. */
  last_seen: number | null;
  created_at: number;
}
export type HostRow = Selectable<HostTable>;

export interface JoinTokenTable {
  token_hash: string;
  /** Null: for any host name. */
  host: string | null;
  expires_at: number;
  created_at: number;
}

/** One OpenStack service record: a binary on a host. */
export interface ServiceTable {
  uuid: string;
  /** The integer id of older microversions. */
  number: number;
  /** The host's name, or `host@backend` for a service that has a record for each of its backends. */
  host: string;
  /** The host that beats for it: its agent provides this. Empty when that agent came back without it. */
  node: string;
  binary_name: string;
  /** Service type of the driver: `compute`, `block-storage`, …; null for the server's own processes. */
  service: string | null;
  cluster: string | null;
  facts: string;
  zone: string;
  disabled: number;
  disabled_reason: string | null;
  forced_down: number;
  last_seen: number | null;
  created_at: number;
  /** Last write by an operator. */
  modified_at: number | null;
}
export type ServiceRow = Selectable<ServiceTable>;

export type CommandState = "queued" | "done" | "failed" | "revoked";

export interface CommandTable {
  key: string;
  /** The key without the number of the try. */
  base_key: string;
  try_number: number;
  operation_id: string;
  /** Where the operation was when it sent this: its step, and `do1`, `undo1`, `do2`, …. */
  step: string;
  phase: string;
  host: string | null;
  cluster: string | null;
  /** Member that works on a cluster's command. */
  taken_by: string | null;
  subject: string;
  epoch: number;
  verb: string;
  input: string;
  state: CommandState;
  /** Result of a done command, fault of a failed one. */
  outcome: string | null;
  /** By the clocks of the server's processes, as everything here: a host never sees it. */
  deadline_at: number;
  created_at: number;
}
export type CommandRow = Selectable<CommandTable>;

export interface FleetTables {
  hosts: HostTable;
  join_tokens: JoinTokenTable;
  services: ServiceTable;
  commands: CommandTable;
}

export const fleetMigrations: readonly Migration[] = [
  {
    name: "kernel-0003-fleet",
    statements: [
      `CREATE TABLE hosts (
        id text PRIMARY KEY, name text NOT NULL UNIQUE, credential_hash text NOT NULL, boot_id text,
        last_seen bigint, created_at bigint NOT NULL)`,
      "CREATE TABLE join_tokens (token_hash text PRIMARY KEY, host text, expires_at bigint NOT NULL, created_at bigint NOT NULL)",
      `CREATE TABLE services (
        uuid text PRIMARY KEY, number bigint NOT NULL UNIQUE, host text NOT NULL, binary_name text NOT NULL, service text, cluster text,
        facts text NOT NULL, zone text NOT NULL, disabled bigint NOT NULL, disabled_reason text, forced_down bigint NOT NULL,
        last_seen bigint, created_at bigint NOT NULL, modified_at bigint, UNIQUE (host, binary_name))`,
      `CREATE TABLE commands (
        key text PRIMARY KEY, base_key text NOT NULL, try_number bigint NOT NULL, operation_id text NOT NULL, step text NOT NULL, phase text NOT NULL,
        host text, cluster text, taken_by text, subject text NOT NULL, epoch bigint NOT NULL, verb text NOT NULL, input text NOT NULL,
        state text NOT NULL, outcome text, deadline_at bigint NOT NULL, created_at bigint NOT NULL)`,
      "CREATE INDEX commands_of_host ON commands (host, state)",
      "CREATE INDEX commands_of_cluster ON commands (cluster, state) WHERE cluster IS NOT NULL",
      "CREATE INDEX commands_taken ON commands (taken_by, state) WHERE taken_by IS NOT NULL",
      "CREATE INDEX commands_of_operation ON commands (operation_id)",
      "CREATE INDEX commands_by_base ON commands (base_key)",
    ],
  },
  {
    name: "kernel-0005-service-nodes",
    statements: [
      "ALTER TABLE services ADD COLUMN node text NOT NULL DEFAULT ''",
      "UPDATE services SET node = host",
      "CREATE INDEX services_of_node ON services (node)",
    ],
  },
];
