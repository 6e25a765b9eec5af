import type { Kysely } from "kysely";
import { isAmong } from "../../../kernel/store/is-among.ts";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { PortInfo } from "../public.ts";
import { addressesOf } from "./addresses.ts";
import type { NetworkTables } from "./tables.ts";

/** Reads of ports as the cards of servers. */

type Db = Kysely<NetworkTables>;

export async function portInfosOf(q: Queries, serverId: string): Promise<PortInfo[]> {
  const ports = await q
    .tables<NetworkTables>()
    .selectFrom("ports as p")
    .innerJoin("networks as n", "n.id", "p.network_id")
    .select([
      "p.id",
      "p.network_id",
      "n.name as network_name",
      "p.mac",
      "p.status",
      "p.device_tag",
      "p.made_for_server",
    ])
    .where("p.device_id", "=", serverId)
    .orderBy("p.device_index")
    .orderBy("p.id")
    .execute();
  const addresses = await addressesOf(
    q,
    ports.map((port) => port.id),
  );
  return ports.map((port) => ({
    portId: port.id,
    networkId: port.network_id,
    networkName: port.network_name,
    mac: port.mac,
    fixedIps: addresses
      .filter((row) => row.port_id === port.id)
      .map((row) => ({ subnetId: row.subnet_id, address: row.address })),
    status: port.status,
    tag: port.device_tag,
    madeForServer: port.made_for_server === 1,
  }));
}

/** One row per address, in the order of the cards; a card without an address has one row of nulls. */
export async function nicRowsOf(q: Queries, serverId: string) {
  return await q
    .tables<NetworkTables>()
    .selectFrom("ports as p")
    .innerJoin("networks as n", "n.id", "p.network_id")
    .leftJoin("port_addresses as a", "a.port_id", "p.id")
    .leftJoin("subnets as s", "s.id", "a.subnet_id")
    .select([
      "p.id as port_id",
      "p.mac",
      "p.network_id",
      "n.segment",
      "n.mtu",
      "a.address",
      "s.cidr",
      "s.gateway_ip",
      "s.dns_nameservers",
    ])
    .where("p.device_id", "=", serverId)
    .orderBy("p.device_index")
    .orderBy("p.id")
    .orderBy("a.position")
    .execute();
}

const addressesOfServers = prepared((db: Db, p: { serverIds: string }, dialect) =>
  db
    .selectFrom("ports as p")
    .innerJoin("networks as n", "n.id", "p.network_id")
    .innerJoin("port_addresses as a", "a.port_id", "p.id")
    .innerJoin("subnets as s", "s.id", "a.subnet_id")
    .select(["p.device_id", "p.mac", "n.name as network_name", "a.address", "s.ip_version"])
    .where(isAmong(dialect, "p.device_id", p.serverIds))
    .orderBy("p.device_index")
    .orderBy("p.id")
    .orderBy("a.position"),
);

export async function serverAddressRows(q: Queries, serverIds: readonly string[]) {
  return serverIds.length === 0 ? [] : await addressesOfServers.all(q, { serverIds: JSON.stringify(serverIds) });
}

const groupsOfServers = prepared((db: Db, p: { serverIds: string }, dialect) =>
  db
    .selectFrom("ports as p")
    .innerJoin("port_security_groups as l", "l.port_id", "p.id")
    .innerJoin("security_groups as g", "g.id", "l.security_group_id")
    .select(["p.device_id", "g.id", "g.name"])
    .distinct()
    .where(isAmong(dialect, "p.device_id", p.serverIds))
    .orderBy("g.name")
    .orderBy("g.id"),
);

export async function groupNamesOfServers(
  q: Queries,
  serverIds: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const result = new Map<string, string[]>();
  if (serverIds.length === 0) return result;
  const rows = await groupsOfServers.all(q, { serverIds: JSON.stringify(serverIds) });
  for (const row of rows) result.set(row.device_id, [...(result.get(row.device_id) ?? []), row.name]);
  return result;
}
