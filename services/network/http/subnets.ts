import { type RawBuilder, sql } from "kysely";
import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Route } from "../../../kernel/http/route.ts";
import type { PolicyTarget } from "../../../kernel/policy/credentials.ts";
import type { Queries, Store, Tx } from "../../../kernel/store/store.ts";
import { missing } from "../domain/faults.ts";
import type { Pool } from "../domain/pools.ts";
import { type HostRoute, planSubnet, type SubnetRequest } from "../domain/subnet-plan.ts";
import type { NetworkContext } from "../settings.ts";
import { createSubnet } from "../store/create-network.ts";
import { COMMON_FILTERS, COMMON_SORT, isAlways, isFlag, isNumber, isText, type ListSource } from "../store/list.ts";
import { findNetwork, maySeeNetwork, type Viewer } from "../store/networks.ts";
import { changedNow } from "../store/revisions.ts";
import type { NetworkTables, SubnetRow } from "../store/tables.ts";
import { removeTags, tagsOf } from "../store/tags.ts";
import { changedFlag, commonView, Flag, flagValue, IpAddress, Text } from "./attributes.ts";
import { ownerFields, resourceRoutes, type View } from "./resource.ts";

const strict = { additionalProperties: false };

const common = {
  name: Type.Optional(Text),
  description: Type.Optional(Text),
  enable_dhcp: Type.Optional(Flag),
  gateway_ip: Type.Optional(Type.Union([IpAddress, Type.Null()])),
  allocation_pools: Type.Optional(
    Type.Array(Type.Object({ start: IpAddress, end: IpAddress }, strict), { maxItems: 64 }),
  ),
  dns_nameservers: Type.Optional(Type.Array(IpAddress, { maxItems: 5 })),
  host_routes: Type.Optional(
    Type.Array(Type.Object({ destination: Type.String({ maxLength: 64 }), nexthop: IpAddress }, strict), {
      maxItems: 20,
    }),
  ),
};

const CreateSubnet = Type.Object(
  {
    ...ownerFields,
    ...common,
    network_id: Type.String({ format: "uuid-like" }),
    cidr: Type.String({ maxLength: 64 }),
    ip_version: Type.Optional(Type.Union([Type.Literal(4), Type.Literal(6), Type.Literal("4"), Type.Literal("6")])),
    /** Addresses reach guests by config drive, never by router advertisements. */
    ipv6_address_mode: Type.Optional(Type.Literal("dhcpv6-stateful")),
    ipv6_ra_mode: Type.Optional(Type.Literal("dhcpv6-stateful")),
  },
  strict,
);

const UpdateSubnet = Type.Object(common, strict);

export const subnetSource: ListSource = {
  table: "subnets",
  filters: {
    ...COMMON_FILTERS,
    network_id: isText("network_id"),
    cidr: isText("cidr"),
    gateway_ip: isText("gateway_ip"),
    ip_version: isNumber("ip_version"),
    enable_dhcp: isFlag("enable_dhcp"),
    ipv6_address_mode: isText("ipv6_address_mode"),
    ipv6_ra_mode: isText("ipv6_ra_mode"),
    subnetpool_id: isAlways("null"),
    shared: (values) =>
      sql<boolean>`EXISTS (SELECT 1 FROM networks n WHERE n.id = r.network_id AND n.shared IN (${sql.join(values.map((value) => (/^(true|1)$/i.test(value) ? 1 : 0)))}))`,
  },
  sortable: { ...COMMON_SORT, cidr: "cidr", network_id: "network_id", ip_version: "ip_version" },
};

/** Its own, and those of its own and of shared networks. */
export function visibleSubnets(viewer: Viewer): RawBuilder<boolean> | undefined {
  if (viewer.isAdmin) return undefined;
  const project = viewer.projectId ?? "";
  return sql<boolean>`(r.project_id = ${project} OR EXISTS (
    SELECT 1 FROM networks n WHERE n.id = r.network_id AND (n.project_id = ${project} OR n.shared = 1)))`;
}

/** What rules may ask about the network that something lies on. */
export async function parentTarget(q: Queries, networkId: string | undefined): Promise<PolicyTarget> {
  const network = networkId === undefined ? undefined : await findNetwork(q, networkId);
  if (!network) return {};
  const { project_id, shared } = network;
  return { "network:project_id": project_id, "network:tenant_id": project_id, "network:shared": shared === 1 };
}

export function subnetRoutes(store: Store, context: NetworkContext): Route[] {
  return resourceRoutes<SubnetRow, typeof CreateSubnet, typeof UpdateSubnet>(store, {
    singular: "subnet",
    plural: "subnets",
    path: "/subnets",
    source: subnetSource,
    createBody: CreateSubnet,
    updateBody: UpdateSubnet,
    visible: visibleSubnets,
    target: (q, row) => parentTarget(q, row.network_id),
    views: subnetViews,
    async create(t, body, projectId, viewer) {
      const network = await findNetwork(t, body.network_id);
      if (!network || !maySeeNetwork(network, viewer)) throw missing("network", body.network_id);
      const plan = planSubnet({
        cidr: body.cidr,
        ...(body.ip_version === undefined ? {} : { ipVersion: Number(body.ip_version) }),
        ...changes(body),
      });
      const subnet = { networkId: network.id, projectId, name: body.name ?? "", description: body.description ?? "" };
      const row = await createSubnet(t, context, { ...subnet, plan });
      const modes = {
        ipv6_address_mode: body.ipv6_address_mode ?? null,
        ipv6_ra_mode: body.ipv6_ra_mode ?? null,
      };
      await t.tables<NetworkTables>().updateTable("subnets").set(modes).where("id", "=", row.id).execute();
      return { ...row, ...modes };
    },
    async update(t, row, body) {
      const before = {
        gatewayIp: row.gateway_ip,
        pools: JSON.parse(row.allocation_pools) as Pool[],
        dnsNameservers: JSON.parse(row.dns_nameservers) as string[],
        hostRoutes: JSON.parse(row.host_routes) as HostRoute[],
      };
      const plan = planSubnet({ cidr: row.cidr, ...before, ...changes(body) });
      if (plan.gatewayIp !== row.gateway_ip) await refuseUsedGateway(t, row.id, plan.gatewayIp);
      return await t
        .tables<NetworkTables>()
        .updateTable("subnets")
        .set({
          name: body.name ?? row.name,
          description: body.description ?? row.description,
          enable_dhcp: changedFlag(body.enable_dhcp, row.enable_dhcp),
          gateway_ip: plan.gatewayIp,
          allocation_pools: JSON.stringify(plan.pools),
          dns_nameservers: JSON.stringify(plan.dnsNameservers),
          host_routes: JSON.stringify(plan.hostRoutes),
          ...changedNow(context),
        })
        .where("id", "=", row.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    },
    async remove(t, row) {
      await removeTags(t, row.id);
      await t.tables<NetworkTables>().deleteFrom("subnets").where("id", "=", row.id).execute();
    },
    inUse: (row) =>
      new CloudError(
        "conflict",
        "network.subnet_in_use",
        `Unable to complete operation on subnet ${row.id}: One or more ports have an IP allocation from this subnet.`,
      ),
  });
}

interface SubnetChanges {
  readonly gateway_ip?: string | null;
  readonly enable_dhcp?: boolean | number | string;
  readonly allocation_pools?: readonly Pool[];
  readonly dns_nameservers?: readonly string[];
  readonly host_routes?: readonly HostRoute[];
}

function changes(body: SubnetChanges): Omit<SubnetRequest, "cidr"> {
  return {
    ...(body.gateway_ip === undefined ? {} : { gatewayIp: body.gateway_ip }),
    ...(body.enable_dhcp === undefined ? {} : { enableDhcp: flagValue(body.enable_dhcp) === 1 }),
    ...(body.allocation_pools === undefined ? {} : { pools: body.allocation_pools }),
    ...(body.dns_nameservers === undefined ? {} : { dnsNameservers: body.dns_nameservers }),
    ...(body.host_routes === undefined ? {} : { hostRoutes: body.host_routes }),
  };
}

async function refuseUsedGateway(t: Tx, subnetId: string, gateway: string | null): Promise<void> {
  if (gateway === null) return;
  const holder = await t
    .tables<NetworkTables>()
    .selectFrom("port_addresses")
    .select("port_id")
    .where("subnet_id", "=", subnetId)
    .where("address", "=", gateway)
    .executeTakeFirst();
  if (!holder) return;
  throw new CloudError(
    "conflict",
    "network.gateway_ip_in_use",
    `Current gateway ip ${gateway} already in use by port ${holder.port_id}. Unable to update.`,
  );
}

async function subnetViews(q: Queries, rows: readonly SubnetRow[]): Promise<View[]> {
  const tags = await tagsOf(
    q,
    rows.map((row) => row.id),
  );
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    network_id: row.network_id,
    ip_version: row.ip_version,
    cidr: row.cidr,
    gateway_ip: row.gateway_ip,
    enable_dhcp: row.enable_dhcp === 1,
    allocation_pools: JSON.parse(row.allocation_pools) as unknown,
    dns_nameservers: JSON.parse(row.dns_nameservers) as unknown,
    host_routes: JSON.parse(row.host_routes) as unknown,
    ipv6_address_mode: row.ipv6_address_mode,
    ipv6_ra_mode: row.ipv6_ra_mode,
    subnetpool_id: null,
    service_types: [],
    ...commonView(row, tags.get(row.id)),
  }));
}
