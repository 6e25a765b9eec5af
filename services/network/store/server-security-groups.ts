import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { missing } from "../domain/faults.ts";
import type { IngressRule, SecurityGroupInfo } from "../public.ts";
import { rulesOf } from "./security-groups.ts";
import type { NetworkTables, SecurityGroupRow } from "./tables.ts";

/** Security groups of servers: those of all their ports. */

/** The groups of a server's ports, each once. */
export async function groupsOfServer(q: Queries, serverId: string): Promise<SecurityGroupRow[]> {
  return await q
    .tables<NetworkTables>()
    .selectFrom("ports as p")
    .innerJoin("port_security_groups as l", "l.port_id", "p.id")
    .innerJoin("security_groups as g", "g.id", "l.security_group_id")
    .selectAll("g")
    .distinct()
    .where("p.device_id", "=", serverId)
    .orderBy("g.name")
    .orderBy("g.id")
    .execute();
}

export async function groupsOfProject(q: Queries, projectId: string): Promise<SecurityGroupRow[]> {
  return await q
    .tables<NetworkTables>()
    .selectFrom("security_groups")
    .selectAll()
    .where("project_id", "=", projectId)
    .orderBy("name")
    .orderBy("id")
    .execute();
}

/** The groups with what they let in, in two queries. */
export async function groupInfos(q: Queries, groups: readonly SecurityGroupRow[]): Promise<SecurityGroupInfo[]> {
  const rules = (await rulesOf(q, idsOf(groups))).filter((rule) => rule.direction === "ingress");
  const remoteIds = new Set(rules.flatMap((rule) => (rule.remote_group_id === null ? [] : [rule.remote_group_id])));
  const remotes = new Map((await groupsById(q, [...remoteIds])).map((row) => [row.id, row]));
  return groups.map((group) => ({
    id: group.id,
    name: group.name,
    description: group.description,
    projectId: group.project_id,
    ingress: rules
      .filter((rule) => rule.security_group_id === group.id)
      .map((rule): IngressRule => {
        const remote = remotes.get(rule.remote_group_id ?? "");
        return {
          id: rule.id,
          protocol: rule.protocol,
          fromPort: rule.port_range_min,
          toPort: rule.port_range_max,
          cidr: rule.remote_ip_prefix,
          remoteGroup: remote ? { name: remote.name, projectId: remote.project_id } : null,
        };
      }),
  }));
}

/**
 * A project's group given by id or name. Throws `notFound` `network.security_group_not_found`, and `conflict`
 * `network.security_group_ambiguous` when several have the name.
 */
export async function findGroup(q: Queries, projectId: string, nameOrId: string): Promise<SecurityGroupRow> {
  const rows = await q
    .tables<NetworkTables>()
    .selectFrom("security_groups")
    .selectAll()
    .where("project_id", "=", projectId)
    .where((eb) => eb.or([eb("id", "=", nameOrId), eb("name", "=", nameOrId)]))
    .execute();
  const [first, second] = rows;
  const found = rows.find((row) => row.id === nameOrId) ?? first;
  if (!found) throw missing("security_group", nameOrId);
  if (second && found.id !== nameOrId) {
    throw new CloudError(
      "conflict",
      "network.security_group_ambiguous",
      `Multiple security groups found matching '${nameOrId}'. Use an ID to be more specific.`,
    );
  }
  return found;
}

/** Ports that have the group already keep it. */
export async function addGroupToPorts(t: Tx, portIds: readonly string[], groupId: string): Promise<void> {
  if (portIds.length === 0) return;
  await t
    .tables<NetworkTables>()
    .insertInto("port_security_groups")
    .values(portIds.map((port_id) => ({ port_id, security_group_id: groupId })))
    .onConflict((c) => c.doNothing())
    .execute();
}

/** False when none of the server's ports has the group. */
export async function removeGroupFromServer(t: Tx, serverId: string, groupId: string): Promise<boolean> {
  const db = t.tables<NetworkTables>();
  const ports = db.selectFrom("ports").select("id").where("device_id", "=", serverId);
  const removed = await db
    .deleteFrom("port_security_groups")
    .where("security_group_id", "=", groupId)
    .where("port_id", "in", ports)
    .executeTakeFirst();
  return removed.numDeletedRows > 0n;
}

async function groupsById(q: Queries, ids: readonly string[]): Promise<SecurityGroupRow[]> {
  if (ids.length === 0) return [];
  return await q.tables<NetworkTables>().selectFrom("security_groups").selectAll().where("id", "in", ids).execute();
}

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map((row) => row.id);
