import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ServerGroupRow, ServerGroupTables } from "./group-tables.ts";
import type { ComputeTables } from "./tables.ts";

/** A group with its members that still exist. */
export interface ServerGroup extends ServerGroupRow {
  readonly members: readonly string[];
}

/** Ids of the groups that a server belongs to. */
export async function groupsOfServer(q: Queries, serverId: string): Promise<string[]> {
  const rows = await q
    .tables<ServerGroupTables>()
    .selectFrom("server_group_members")
    .select("group_id")
    .where("server_id", "=", serverId)
    .execute();
  return rows.map((row) => row.group_id);
}

export async function findGroup(q: Queries, id: string): Promise<ServerGroup | undefined> {
  const row = await q
    .tables<ServerGroupTables>()
    .selectFrom("server_groups")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
  return row && (await withMembers(q, [row]))[0];
}

/** Oldest first; all projects when `projectId` is null. */
export async function listGroups(
  q: Queries,
  page: { projectId: string | null; limit: number; offset: number },
): Promise<ServerGroup[]> {
  let query = q
    .tables<ServerGroupTables>()
    .selectFrom("server_groups")
    .selectAll()
    .orderBy("number")
    .limit(page.limit)
    .offset(page.offset);
  if (page.projectId !== null) query = query.where("project_id", "=", page.projectId);
  return await withMembers(q, await query.execute());
}

export async function insertGroup(t: Tx, row: ServerGroupRow): Promise<void> {
  await t.tables<ServerGroupTables>().insertInto("server_groups").values(row).execute();
}

export async function deleteGroup(t: Tx, id: string): Promise<void> {
  await t.tables<ServerGroupTables>().deleteFrom("server_groups").where("id", "=", id).execute();
}

export async function addMember(t: Tx, groupId: string, serverId: string): Promise<void> {
  await t
    .tables<ServerGroupTables>()
    .insertInto("server_group_members")
    .values({ group_id: groupId, server_id: serverId })
    .execute();
}

async function withMembers(q: Queries, rows: readonly ServerGroupRow[]): Promise<ServerGroup[]> {
  if (rows.length === 0) return [];
  const members = await q
    .tables<ServerGroupTables & ComputeTables>()
    .selectFrom("server_group_members")
    .innerJoin("servers", "servers.id", "server_group_members.server_id")
    .select(["group_id", "server_id"])
    .where(
      "group_id",
      "in",
      rows.map((row) => row.id),
    )
    .where("servers.deleted_at", "is", null)
    .orderBy("servers.number")
    .execute();
  return rows.map((row) => ({
    ...row,
    members: members.filter((member) => member.group_id === row.id).map((member) => member.server_id),
  }));
}
