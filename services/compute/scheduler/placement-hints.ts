import { sql } from "kysely";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ServerGroupRow, ServerGroupTables } from "../store/group-tables.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";

/** Hosts that a server must, must not, should and should not go to. */
export interface PlacementHints {
  /** Null without such a wish; empty when wishes contradict each other. */
  readonly together: readonly string[] | null;
  readonly apart: readonly string[];
  readonly preferred: readonly string[];
  readonly avoided: readonly string[];
}

/**
 * The scheduler hints `same_host` and `different_host` (lists of servers) and the policy of the server's group, as the
 * hosts they stand for now. Others that place servers of the same group wait until this transaction ends.
 */
export async function placementHints(t: Tx, server: ServerRow): Promise<PlacementHints> {
  const hints = JSON.parse(server.scheduler_hints) as {
    same_host?: string | string[];
    different_host?: string | string[];
  };
  const same = await hostsOf(t, hints.same_host);
  const different = await hostsOf(t, hints.different_host);
  const group = await lockGroup(t, server.id);
  const members = group === undefined ? new Map<string, number>() : await membersByHost(t, group.id, server.id);
  const hosts = [...members.keys()];
  const perHost = group?.max_server_per_host ?? 1;
  const friends = group?.policy === "affinity" ? hosts : [];
  const full = group?.policy === "anti-affinity" ? hosts.filter((host) => (members.get(host) ?? 0) >= perHost) : [];
  return {
    together: both(same, friends),
    apart: [...different, ...full],
    preferred: group?.policy === "soft-affinity" ? hosts : [],
    avoided: group?.policy === "soft-anti-affinity" ? hosts : [],
  };
}

function both(some: readonly string[], others: readonly string[]): readonly string[] | null {
  if (some.length === 0 && others.length === 0) return null;
  if (some.length === 0 || others.length === 0) return [...some, ...others];
  return some.filter((host) => others.includes(host));
}

async function hostsOf(q: Queries, servers: string | string[] | undefined): Promise<string[]> {
  const ids = servers === undefined ? [] : [servers].flat();
  if (ids.length === 0) return [];
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select("host")
    .where("id", "in", ids)
    .where("deleted_at", "is", null)
    .execute();
  return rows.flatMap((row) => (row.host === null ? [] : [row.host]));
}

/** The update changes nothing; it takes the row's lock on every dialect. */
function lockGroup(t: Tx, serverId: string): Promise<ServerGroupRow | undefined> {
  return t
    .tables<ServerGroupTables>()
    .updateTable("server_groups")
    .set({ name: sql.ref("name") })
    .where("id", "in", (eb) =>
      eb.selectFrom("server_group_members").select("group_id").where("server_id", "=", serverId),
    )
    .returningAll()
    .executeTakeFirst();
}

/** How many other servers of the group hold room on each host, also those that are on their way there. */
async function membersByHost(q: Queries, groupId: string, serverId: string): Promise<Map<string, number>> {
  const rows = await q
    .tables<ComputeTables & ServerGroupTables>()
    .selectFrom("server_group_members")
    .innerJoin("allocations", "allocations.server_id", "server_group_members.server_id")
    .select(({ fn }) => ["allocations.host", fn.countAll<number | string>().as("servers")])
    .where("server_group_members.group_id", "=", groupId)
    .where("server_group_members.server_id", "!=", serverId)
    .groupBy("allocations.host")
    .orderBy("allocations.host")
    .execute();
  return new Map(rows.map((row) => [row.host, Number(row.servers)]));
}
