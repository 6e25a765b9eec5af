import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { macTaken } from "../domain/faults.ts";
import type { FixedIpRequest } from "../domain/subnet-choice.ts";
import type { NetworkContext } from "../settings.ts";
import { takeAnyAddresses, takeRequestedAddresses } from "./addresses.ts";
import { subnetsOfNetworks } from "./networks.ts";
import { checkQuota } from "./quotas.ts";
import type { NetworkTables, PortRow } from "./tables.ts";

export interface NewPort {
  readonly projectId: string;
  readonly networkId: string;
  readonly name?: string;
  readonly description?: string;
  readonly adminStateUp?: boolean;
  /** Lower case, colons; chosen when absent. */
  readonly mac?: string;
  /** Absent: an address of each IP version that the network has. */
  readonly fixedIps?: readonly FixedIpRequest[];
  readonly securityGroupIds: readonly string[];
  readonly deviceId?: string;
  readonly deviceOwner?: string;
  readonly host?: string;
  readonly madeForServer?: boolean;
  readonly deviceIndex?: number;
  readonly deviceTag?: string | null;
}

/** Tries before a generated MAC address that is taken is an error. */
const MAC_TRIES = 16;

/** Inserts a port with its addresses and groups. Throws on a taken MAC or address, on full subnets, over quota. */
export async function createPort(t: Tx, context: NetworkContext, port: NewPort): Promise<PortRow> {
  await checkQuota(t, port.projectId, "port", context.quotas);
  const row = await insertRow(t, context, port);
  const subnets = await subnetsOfNetworks(t, [port.networkId]);
  const addressed = { id: row.id, networkId: port.networkId };
  if (port.fixedIps) await takeRequestedAddresses(t, addressed, subnets, port.fixedIps);
  else await takeAnyAddresses(t, addressed, subnets);
  await setPortGroups(t, row.id, port.securityGroupIds);
  return row;
}

export async function findPort(q: Queries, id: string): Promise<PortRow | undefined> {
  return await q.tables<NetworkTables>().selectFrom("ports").selectAll().where("id", "=", id).executeTakeFirst();
}

export async function setPortGroups(t: Tx, portId: string, groupIds: readonly string[]): Promise<void> {
  const db = t.tables<NetworkTables>();
  await db.deleteFrom("port_security_groups").where("port_id", "=", portId).execute();
  if (groupIds.length === 0) return;
  await db
    .insertInto("port_security_groups")
    .values(groupIds.map((security_group_id) => ({ port_id: portId, security_group_id })))
    .execute();
}

/** With its addresses, groups and tags. */
export async function deletePorts(t: Tx, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const db = t.tables<NetworkTables>();
  await db.deleteFrom("network_tags").where("resource_id", "in", ids).execute();
  await db.deleteFrom("ports").where("id", "in", ids).execute();
}

async function insertRow(t: Tx, context: NetworkContext, port: NewPort): Promise<PortRow> {
  const now = context.clock.now();
  const host = port.host ?? "";
  for (let attempt = 1; ; attempt += 1) {
    const row: PortRow = {
      id: context.ids.uuid(),
      network_id: port.networkId,
      project_id: port.projectId,
      name: port.name ?? "",
      description: port.description ?? "",
      mac: port.mac ?? generatedMac(context),
      admin_state_up: (port.adminStateUp ?? true) ? 1 : 0,
      status: host === "" ? "DOWN" : "ACTIVE",
      device_id: port.deviceId ?? "",
      device_owner: port.deviceOwner ?? "",
      host,
      made_for_server: port.madeForServer ? 1 : 0,
      device_index: port.deviceIndex ?? 0,
      device_tag: port.deviceTag ?? null,
      created_at: now,
      updated_at: now,
      revision: 1,
    };
    const inserted = await t
      .tables<NetworkTables>()
      .insertInto("ports")
      .values(row)
      .onConflict((c) => c.columns(["network_id", "mac"]).doNothing())
      .returning("id")
      .executeTakeFirst();
    if (inserted) return row;
    if (port.mac !== undefined || attempt === MAC_TRIES) throw macTaken(row.mac, port.networkId);
  }
}

/** In the range that OpenStack's clouds use: fa:16:3e and 24 bits of our own. */
function generatedMac(context: NetworkContext): string {
  const tail = context.ids.hex().slice(-6);
  return `fa:16:3e:${tail.slice(0, 2)}:${tail.slice(2, 4)}:${tail.slice(4, 6)}`;
}
