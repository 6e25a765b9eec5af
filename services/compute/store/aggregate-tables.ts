import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";

export interface AggregateTable {
  number: number;
  uuid: string;
  name: string;
  /** JSON: name → text. `availability_zone` is the zone of the hosts. */
  metadata: string;
  created_at: number;
  updated_at: number | null;
}
export type AggregateRow = Selectable<AggregateTable>;

export interface AggregateHostTable {
  aggregate_number: number;
  host: string;
}

export interface AggregateTables {
  aggregates: AggregateTable;
  aggregate_hosts: AggregateHostTable;
}

export const aggregateMigration: Migration = {
  name: "compute-0003-aggregates",
  statements: [
    `CREATE TABLE aggregates (
      number bigint PRIMARY KEY, uuid text NOT NULL UNIQUE, name text NOT NULL UNIQUE, metadata text NOT NULL,
      created_at bigint NOT NULL, updated_at bigint)`,
    `CREATE TABLE aggregate_hosts (
      aggregate_number bigint NOT NULL REFERENCES aggregates (number), host text NOT NULL,
      PRIMARY KEY (aggregate_number, host))`,
    "CREATE INDEX aggregates_of_host ON aggregate_hosts (host)",
  ],
};
