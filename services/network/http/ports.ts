import { type RawBuilder, sql } from "kysely";
import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Route } from "../../../kernel/http/route.ts";
import type { Store, Tx } from "../../../kernel/store/store.ts";
import { invalidInput, macTaken, missing } from "../domain/faults.ts";
import type { FixedIpRequest } from "../domain/subnet-choice.ts";
import type { NetworkContext } from "../settings.ts";
import { replaceAddresses } from "../store/addresses.ts";
import { COMMON_FILTERS, COMMON_SORT, type Filter, isFlag, isText, type ListSource } from "../store/list.ts";
import { findNetwork, maySeeNetwork, subnetsOfNetworks, type Viewer } from "../store/networks.ts";
import { createPort, deletePorts, setPortGroups } from "../store/ports.ts";
import { changedNow } from "../store/revisions.ts";
import { ensureDefaultGroup, resolveGroups } from "../store/security-groups.ts";
import type { NetworkTables, PortRow } from "../store/tables.ts";
import { changedFlag, Flag, flagValue, IpAddress, Text } from "./attributes.ts";
import { portViews, SEE_BINDING } from "./port-views.ts";
import { ownerFields, resourceRoutes } from "./resource.ts";
import { parentTarget } from "./subnets.ts";

const strict = { additionalProperties: false };
const Uuid = Type.String({ format: "uuid-like" });

const common = {
  name: Type.Optional(Text),
  description: Type.Optional(Text),
  admin_state_up: Type.Optional(Flag),
  mac_address: Type.Optional(Type.String({ pattern: "^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$" })),
  fixed_ips: Type.Optional(
    Type.Array(Type.Object({ subnet_id: Type.Optional(Uuid), ip_address: Type.Optional(IpAddress) }, strict), {
      maxItems: 16,
    }),
  ),
  security_groups: Type.Optional(Type.Union([Type.Array(Uuid, { maxItems: 64 }), Type.Null()])),
  device_id: Type.Optional(Type.String({ maxLength: 255, format: "printable" })),
  device_owner: Type.Optional(Type.String({ maxLength: 255, format: "printable" })),
  "binding:host_id": Type.Optional(Type.Union([Type.String({ maxLength: 255, format: "printable" }), Type.Null()])),
  "binding:vnic_type": Type.Optional(Type.Literal("normal")),
};

const CreatePort = Type.Object({ ...ownerFields, ...common, network_id: Uuid }, strict);
const UpdatePort = Type.Object(common, strict);

/** `fixed_ips=ip_address=10.0.0.4`, `fixed_ips=subnet_id=<id>`; several must all hold. */
const hasAddress: Filter = (values) => {
  const each = values.map((value) => {
    const [name = "", wanted = ""] = value.split("=");
    const condition = addressCondition(name, wanted);
    return sql`EXISTS (SELECT 1 FROM port_addresses a WHERE a.port_id = r.id AND ${condition})`;
  });
  return sql<boolean>`(${sql.join(each, sql` AND `)})`;
};

export const portSource: ListSource = {
  table: "ports",
  filters: {
    ...COMMON_FILTERS,
    network_id: isText("network_id"),
    device_id: isText("device_id"),
    device_owner: isText("device_owner"),
    status: isText("status"),
    "binding:host_id": isText("host"),
    admin_state_up: isFlag("admin_state_up"),
    mac_address: (values) => isText("mac")(values.map(canonicalMac)),
    fixed_ips: hasAddress,
    security_groups: (values) =>
      sql<boolean>`EXISTS (SELECT 1 FROM port_security_groups g WHERE g.port_id = r.id AND g.security_group_id IN (${sql.join(values)}))`,
  },
  sortable: {
    ...COMMON_SORT,
    network_id: "network_id",
    mac_address: "mac",
    status: "status",
    device_id: "device_id",
    device_owner: "device_owner",
    admin_state_up: "admin_state_up",
  },
};

/** Its own, and those on its own networks. */
export function visiblePorts(viewer: Viewer): RawBuilder<boolean> | undefined {
  if (viewer.isAdmin) return undefined;
  const project = viewer.projectId ?? "";
  return sql<boolean>`(r.project_id = ${project} OR EXISTS (
    SELECT 1 FROM networks n WHERE n.id = r.network_id AND n.project_id = ${project}))`;
}

export function portRoutes(store: Store, context: NetworkContext): Route[] {
  const guarded = ["mac_address", "fixed_ips:ip_address", "fixed_ips:subnet_id", "binding:host_id"];
  return resourceRoutes<PortRow, typeof CreatePort, typeof UpdatePort>(store, {
    singular: "port",
    plural: "ports",
    path: "/ports",
    source: portSource,
    createBody: CreatePort,
    updateBody: UpdatePort,
    guarded: { create: guarded, update: guarded },
    viewRules: [SEE_BINDING],
    visible: visiblePorts,
    target: (q, row) => parentTarget(q, row.network_id),
    views: portViews,
    async create(t, body, projectId, viewer) {
      const network = await findNetwork(t, body.network_id);
      if (!network || !maySeeNetwork(network, viewer)) throw missing("network", body.network_id);
      return await createPort(t, context, {
        projectId,
        networkId: network.id,
        name: body.name ?? "",
        description: body.description ?? "",
        adminStateUp: flagValue(body.admin_state_up ?? true) === 1,
        securityGroupIds: await wantedGroups(t, context, projectId, body),
        deviceId: body.device_id ?? "",
        deviceOwner: body.device_owner ?? "",
        host: body["binding:host_id"] ?? "",
        ...(body.mac_address === undefined ? {} : { mac: checkedMac(body.mac_address) }),
        ...(body.fixed_ips === undefined ? {} : { fixedIps: body.fixed_ips.map(checkedFixedIp) }),
      });
    },
    async update(t, row, body) {
      if (body.fixed_ips) {
        const subnets = await subnetsOfNetworks(t, [row.network_id]);
        const port = { id: row.id, networkId: row.network_id };
        await replaceAddresses(t, port, subnets, body.fixed_ips.map(checkedFixedIp));
      }
      if (body.security_groups !== undefined) {
        await setPortGroups(t, row.id, await wantedGroups(t, context, row.project_id, body));
      }
      return await updateRow(t, context, row, body);
    },
    remove: (t, row) => deletePorts(t, [row.id]),
    inUse: (row) => new CloudError("conflict", "network.port_in_use", `Port ${row.id} is still in use.`),
  });
}

async function updateRow(
  t: Tx,
  context: NetworkContext,
  row: PortRow,
  body: Static<typeof UpdatePort>,
): Promise<PortRow> {
  const host = body["binding:host_id"] === undefined ? row.host : (body["binding:host_id"] ?? "");
  const mac = body.mac_address === undefined ? row.mac : checkedMac(body.mac_address);
  if (mac !== row.mac) await refuseTakenMac(t, row, mac);
  return await t
    .tables<NetworkTables>()
    .updateTable("ports")
    .set({
      name: body.name ?? row.name,
      description: body.description ?? row.description,
      admin_state_up: changedFlag(body.admin_state_up, row.admin_state_up),
      mac,
      device_id: body.device_id ?? row.device_id,
      device_owner: body.device_owner ?? row.device_owner,
      host,
      status: host === "" ? "DOWN" : "ACTIVE",
      ...changedNow(context),
    })
    .where("id", "=", row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function refuseTakenMac(t: Tx, row: PortRow, mac: string): Promise<void> {
  const holder = await t
    .tables<NetworkTables>()
    .selectFrom("ports")
    .select("id")
    .where("network_id", "=", row.network_id)
    .where("mac", "=", mac)
    .executeTakeFirst();
  if (holder) throw macTaken(mac, row.network_id);
}

/** The named groups, which must be the project's; its default one when none are named. */
async function wantedGroups(
  t: Tx,
  context: NetworkContext,
  projectId: string,
  body: { security_groups?: string[] | null },
): Promise<string[]> {
  if (body.security_groups === undefined) return [await ensureDefaultGroup(t, context, projectId)];
  return await resolveGroups(t, projectId, body.security_groups ?? [], missing);
}

function checkedFixedIp(request: { subnet_id?: string; ip_address?: string }): FixedIpRequest {
  if (request.subnet_id !== undefined || request.ip_address !== undefined) return request;
  throw invalidInput("an entry of fixed_ips names neither a subnet_id nor an ip_address.");
}

const canonicalMac = (text: string): string => text.toLowerCase().replaceAll("-", ":");

/** Broadcast, multicast and the empty address are nobody's. */
function checkedMac(text: string): string {
  const mac = canonicalMac(text);
  if (mac === "00:00:00:00:00:00" || Number.parseInt(mac.slice(0, 2), 16) % 2 === 1) {
    throw invalidInput(`'${text}' is not a valid MAC address.`);
  }
  return mac;
}

function addressCondition(name: string, wanted: string): RawBuilder<unknown> {
  switch (name) {
    case "ip_address":
      return sql`a.address = ${wanted}`;
    case "subnet_id":
      return sql`a.subnet_id = ${wanted}`;
    case "ip_address_substr":
      return sql`a.address LIKE ${`%${wanted.replaceAll(/[%_\\]/g, "")}%`}`;
    default:
      throw invalidInput(`'${name}' is not a part of fixed_ips.`);
  }
}
