import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { overlap, parseCidr } from "../domain/ip.ts";
import type { SubnetPlan } from "../domain/subnet-plan.ts";
import type { NetworkContext } from "../settings.ts";
import { subnetsOfNetworks } from "./networks.ts";
import { checkQuota } from "./quotas.ts";
import type { NetworkRow, NetworkTables, SubnetRow } from "./tables.ts";

export interface NewNetwork {
  readonly projectId: string;
  readonly name: string;
  readonly description?: string;
  readonly adminStateUp?: boolean;
  readonly shared?: boolean;
  readonly mtu?: number;
  /** VXLAN network identifier; the next free one when absent. */
  readonly segment?: number;
}

export const MAX_SEGMENT = 2 ** 24 - 1;

/** Throws over quota, and `network.tunnel_id_in_use` when the segment is taken. */
export async function createNetwork(t: Tx, context: NetworkContext, network: NewNetwork): Promise<NetworkRow> {
  await checkQuota(t, network.projectId, "network", context.quotas);
  const now = context.clock.now();
  for (;;) {
    const row: NetworkRow = {
      id: context.ids.uuid(),
      project_id: network.projectId,
      name: network.name,
      description: network.description ?? "",
      admin_state_up: (network.adminStateUp ?? true) ? 1 : 0,
      shared: network.shared ? 1 : 0,
      mtu: network.mtu ?? context.mtu,
      segment: network.segment ?? (await nextSegment(t)),
      created_at: now,
      updated_at: now,
      revision: 1,
    };
    const inserted = await t
      .tables<NetworkTables>()
      .insertInto("networks")
      .values(row)
      .onConflict((c) => c.column("segment").doNothing())
      .returning("id")
      .executeTakeFirst();
    if (inserted) return row;
    // A segment that an administrator took by hand is skipped.
    if (network.segment !== undefined) throw segmentTaken(network.segment);
  }
}

/** Throws over quota, and `invalid` when it overlaps with another subnet of the network. */
export async function createSubnet(
  t: Tx,
  context: NetworkContext,
  subnet: { networkId: string; projectId: string; name: string; description?: string; plan: SubnetPlan },
): Promise<SubnetRow> {
  const { plan } = subnet;
  await checkQuota(t, subnet.projectId, "subnet", context.quotas);
  await lockNetwork(t, subnet.networkId);
  for (const other of await subnetsOfNetworks(t, [subnet.networkId])) {
    const cidr = parseCidr(other.cidr);
    if (cidr && overlap(cidr, plan.cidr)) throw overlapping(plan.cidrText, subnet.networkId, other);
  }
  const now = context.clock.now();
  const row: SubnetRow = {
    id: context.ids.uuid(),
    network_id: subnet.networkId,
    project_id: subnet.projectId,
    name: subnet.name,
    description: subnet.description ?? "",
    ip_version: plan.cidr.version,
    cidr: plan.cidrText,
    gateway_ip: plan.gatewayIp,
    enable_dhcp: plan.enableDhcp ? 1 : 0,
    allocation_pools: JSON.stringify(plan.pools),
    dns_nameservers: JSON.stringify(plan.dnsNameservers),
    host_routes: JSON.stringify(plan.hostRoutes),
    ipv6_address_mode: null,
    ipv6_ra_mode: null,
    cursor_key: "",
    created_at: now,
    updated_at: now,
    revision: 0,
  };
  await t.tables<NetworkTables>().insertInto("subnets").values(row).execute();
  return row;
}

/** Whoever adds a subnet to a network, or removes the network, waits for the others. */
export async function lockNetwork(t: Tx, id: string): Promise<void> {
  await t
    .tables<NetworkTables>()
    .updateTable("networks")
    .set((eb) => ({ segment: eb.ref("segment") }))
    .where("id", "=", id)
    .execute();
}

async function nextSegment(t: Tx): Promise<number> {
  const segment = await nextNumber(t, "network.segment");
  if (segment <= MAX_SEGMENT) return segment;
  throw new CloudError("conflict", "network.no_network_available", "There is no free network segment.");
}

function segmentTaken(segment: number): CloudError {
  return new CloudError("conflict", "network.tunnel_id_in_use", `The VXLAN segment ${segment} is in use.`);
}

function overlapping(cidr: string, networkId: string, other: SubnetRow): CloudError {
  return new CloudError(
    "invalid",
    "network.invalid_input",
    `Invalid input for operation: Requested subnet with cidr: ${cidr} for network: ${networkId} overlaps with another subnet (${other.id}, ${other.cidr}).`,
  );
}
