import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";

export interface ServerGroupTable {
  id: string;
  number: number;
  project_id: string;
  user_id: string;
  name: string;
  /** `affinity`, `anti-affinity` and their soft forms. */
  policy: string;
  /** Only for `anti-affinity`; null means one. */
  max_server_per_host: number | null;
  created_at: number;
}
export type ServerGroupRow = Selectable<ServerGroupTable>;

export interface ServerGroupMemberTable {
  group_id: string;
  server_id: string;
}

export interface ServerGroupTables {
  server_groups: ServerGroupTable;
  server_group_members: ServerGroupMemberTable;
}

export const serverGroupMigration: Migration = {
  name: "compute-0002-server-groups",
  statements: [
    `CREATE TABLE server_groups (
      id text PRIMARY KEY, number bigint NOT NULL UNIQUE, project_id text NOT NULL, user_id text NOT NULL, name text NOT NULL,
      policy text NOT NULL, max_server_per_host bigint, created_at bigint NOT NULL)`,
    "CREATE INDEX server_groups_of_project ON server_groups (project_id, number)",
    `CREATE TABLE server_group_members (
      group_id text NOT NULL REFERENCES server_groups (id) ON DELETE CASCADE, server_id text NOT NULL,
      PRIMARY KEY (group_id, server_id))`,
    "CREATE INDEX server_group_of_server ON server_group_members (server_id)",
  ],
};
