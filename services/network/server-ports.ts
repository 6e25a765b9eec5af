import type { Nic } from "../../agent/protocol/compute.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../kernel/store/store.ts";
import { missing, unknownTo } from "./domain/faults.ts";
import { parseCidr } from "./domain/ip.ts";
import type {
  AllocatePorts,
  NetworkPublic,
  PortInfo,
  PortOwner,
  RequestedNic,
  SecurityGroupInfo,
  ServerAddress,
  ServerAddresses,
} from "./public.ts";
import type { NetworkContext } from "./settings.ts";
import { findNetwork, maySeeNetwork, subnetsOfNetworks, usableNetworks } from "./store/networks.ts";
import { createPort, deletePorts, findPort } from "./store/ports.ts";
import { changedNow } from "./store/revisions.ts";
import { ensureDefaultGroup, resolveGroups } from "./store/security-groups.ts";
import { groupNamesOfServers, nicRowsOf, portInfosOf, serverAddressRows } from "./store/server-queries.ts";
import {
  addGroupToPorts,
  findGroup,
  groupInfos,
  groupsOfProject,
  groupsOfServer,
  removeGroupFromServer,
} from "./store/server-security-groups.ts";
import type { NetworkRow, NetworkTables, PortRow } from "./store/tables.ts";

/** The owner of ports that belong to servers. */
const DEVICE_OWNER = "compute:nova";

/** Ports as the cards of servers: what Compute asks of this service. */
export class ServerPorts implements NetworkPublic {
  readonly #context: NetworkContext;

  constructor(context: NetworkContext) {
    this.#context = context;
  }

  async allocatePorts(t: Tx, request: AllocatePorts): Promise<PortInfo[]> {
    const nics = await this.#wanted(t, request);
    if (nics.length === 0 && request.securityGroups.length === 0) return [];
    const groups = await this.#groups(t, request.projectId, request.securityGroups);
    for (const [index, nic] of nics.entries()) await this.#connect(t, request, nic, groups, index);
    return await this.portsOf(t, request.serverId);
  }

  async releasePorts(t: Tx, serverId: string): Promise<void> {
    const ports = await serverPortRows(t, serverId);
    await deletePorts(
      t,
      ports.filter((port) => port.made_for_server === 1).map((port) => port.id),
    );
    await t
      .tables<NetworkTables>()
      .updateTable("ports")
      .set({ ...DETACHED, ...changedNow(this.#context) })
      .where("device_id", "=", serverId)
      .execute();
  }

  async bindPorts(t: Tx, serverId: string, host: string | null): Promise<void> {
    await t
      .tables<NetworkTables>()
      .updateTable("ports")
      .set({ host: host ?? "", status: host === null ? "DOWN" : "ACTIVE", ...changedNow(this.#context) })
      .where("device_id", "=", serverId)
      .where("host", "!=", host ?? "")
      .execute();
  }

  async attachPort(
    t: Tx,
    request: PortOwner & { readonly nic: RequestedNic; readonly securityGroups: readonly string[] },
  ): Promise<PortInfo> {
    const groups = await this.#groups(t, request.projectId, request.securityGroups);
    const has = await serverPortRows(t, request.serverId);
    const index = 1 + Math.max(-1, ...has.map((port) => port.device_index));
    const id = await this.#connect(t, request, request.nic, groups, index);
    const info = (await this.portsOf(t, request.serverId)).find((port) => port.portId === id);
    if (!info) throw missing("port", id);
    return info;
  }

  async detachPort(t: Tx, serverId: string, portId: string): Promise<void> {
    const port = await findPort(t, portId);
    if (!port || port.device_id !== serverId) {
      throw new CloudError("notFound", "network.port_not_attached", `Port ${portId} is not attached to the server.`);
    }
    if (port.made_for_server === 1) {
      await deletePorts(t, [portId]);
      return;
    }
    await t
      .tables<NetworkTables>()
      .updateTable("ports")
      .set({ ...DETACHED, ...changedNow(this.#context) })
      .where("id", "=", portId)
      .execute();
  }

  async portsOf(q: Queries, serverId: string): Promise<PortInfo[]> {
    return await portInfosOf(q, serverId);
  }

  async nicsOf(q: Queries, serverId: string): Promise<Nic[]> {
    const nics = new Map<string, Nic>();
    for (const row of await nicRowsOf(q, serverId)) {
      const nic = nics.get(row.port_id) ?? {
        portId: row.port_id,
        mac: row.mac,
        networkId: row.network_id,
        segment: row.segment,
        mtu: row.mtu,
        fixedIps: [],
        dnsServers: [],
      };
      nics.set(row.port_id, nic);
      if (row.address === null || row.cidr === null) continue;
      nic.fixedIps.push({ address: row.address, prefix: parseCidr(row.cidr)?.prefix ?? 0, gateway: row.gateway_ip });
      const servers = JSON.parse(row.dns_nameservers ?? "[]") as string[];
      nic.dnsServers.push(...servers.filter((server) => !nic.dnsServers.includes(server)));
    }
    return [...nics.values()];
  }

  async networkInfo(q: Queries, serverIds: readonly string[]): Promise<ReadonlyMap<string, ServerAddresses>> {
    const result = new Map<string, Record<string, ServerAddress[]>>();
    for (const row of await serverAddressRows(q, serverIds)) {
      const byNetwork = result.get(row.device_id) ?? {};
      result.set(row.device_id, byNetwork);
      byNetwork[row.network_name] ??= [];
      byNetwork[row.network_name]?.push({
        version: row.ip_version === 4 ? 4 : 6,
        addr: row.address,
        "OS-EXT-IPS:type": "fixed",
        "OS-EXT-IPS-MAC:mac_addr": row.mac,
      });
    }
    return result;
  }

  async securityGroupNames(q: Queries, serverIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    return await groupNamesOfServers(q, serverIds);
  }

  async securityGroupsOf(q: Queries, serverId: string): Promise<SecurityGroupInfo[]> {
    return await groupInfos(q, await groupsOfServer(q, serverId));
  }

  async securityGroupsOfProject(q: Queries, projectId: string): Promise<SecurityGroupInfo[]> {
    return await groupInfos(q, await groupsOfProject(q, projectId));
  }

  async addSecurityGroup(t: Tx, server: { id: string; projectId: string }, nameOrId: string): Promise<void> {
    const group = await findGroup(t, server.projectId, nameOrId);
    const ports = await serverPortRows(t, server.id);
    if (ports.length === 0) {
      throw new CloudError("invalid", "network.no_ports", `Instance ${server.id} has no ports to apply a group to.`);
    }
    await addGroupToPorts(
      t,
      ports.map((port) => port.id),
      group.id,
    );
    await this.#touchPorts(t, server.id);
  }

  async removeSecurityGroup(t: Tx, server: { id: string; projectId: string }, nameOrId: string): Promise<void> {
    const group = await findGroup(t, server.projectId, nameOrId);
    if (!(await removeGroupFromServer(t, server.id, group.id))) {
      throw new CloudError(
        "notFound",
        "network.security_group_not_associated",
        `Security group ${nameOrId} not associated with the instance ${server.id}`,
      );
    }
    await this.#touchPorts(t, server.id);
  }

  async #touchPorts(t: Tx, serverId: string): Promise<void> {
    const ports = t.tables<NetworkTables>().updateTable("ports").where("device_id", "=", serverId);
    await ports.set(changedNow(this.#context)).execute();
  }

  async #wanted(t: Tx, request: AllocatePorts): Promise<readonly RequestedNic[]> {
    if (request.requested === "none") return [];
    if (request.requested !== "auto") return request.requested;
    const [only, other] = await usableNetworks(t, request.projectId);
    if (other) {
      throw new CloudError(
        "conflict",
        "network.ambiguous",
        "Multiple possible networks found, use a Network ID to be more specific.",
      );
    }
    if (!only)
      throw new CloudError("invalid", "network.none_available", "There is no network that the project can use.");
    return [{ networkId: only.id }];
  }

  async #groups(t: Tx, projectId: string, namesOrIds: readonly string[]): Promise<string[]> {
    const byDefault = await ensureDefaultGroup(t, this.#context, projectId);
    return namesOrIds.length === 0 ? [byDefault] : await resolveGroups(t, projectId, namesOrIds, unknownTo);
  }

  /** Returns the id of the port, which is the server's from here on. */
  async #connect(
    t: Tx,
    owner: PortOwner,
    nic: RequestedNic,
    groups: readonly string[],
    index: number,
  ): Promise<string> {
    if ("portId" in nic) return await this.#take(t, owner, nic.portId, nic.tag, index);
    const network = await this.#usableNetwork(t, owner, nic.networkId);
    const port = await createPort(t, this.#context, {
      projectId: owner.projectId,
      networkId: network.id,
      securityGroupIds: groups,
      deviceId: owner.serverId,
      deviceOwner: DEVICE_OWNER,
      host: owner.host ?? "",
      madeForServer: true,
      deviceIndex: index,
      deviceTag: nic.tag ?? null,
      ...(nic.fixedIp === undefined ? {} : { fixedIps: [{ ip_address: nic.fixedIp }] }),
    });
    return port.id;
  }

  async #usableNetwork(t: Tx, owner: PortOwner, id: string): Promise<NetworkRow> {
    const network = await findNetwork(t, id);
    if (!network || !maySeeNetwork(network, owner)) throw unknownTo("network", id);
    if ((await subnetsOfNetworks(t, [id])).length > 0) return network;
    throw new CloudError(
      "invalid",
      "network.requires_subnet",
      `Network ${id} requires a subnet in order to boot instances on.`,
    );
  }

  /** A port of the user's becomes the server's; compare-and-set, so that two servers cannot both win it. */
  async #take(t: Tx, owner: PortOwner, id: string, tag: string | undefined, index: number): Promise<string> {
    const port = await findPort(t, id);
    if (!port || (!owner.isAdmin && port.project_id !== owner.projectId)) throw unknownTo("port", id);
    const taken = await t
      .tables<NetworkTables>()
      .updateTable("ports")
      .set({
        device_id: owner.serverId,
        device_owner: DEVICE_OWNER,
        host: owner.host ?? "",
        status: owner.host === null ? "DOWN" : "ACTIVE",
        device_index: index,
        device_tag: tag ?? null,
        ...changedNow(this.#context),
      })
      .where("id", "=", id)
      .where("device_id", "=", "")
      .returning("id")
      .executeTakeFirst();
    if (taken) return id;
    throw new CloudError("conflict", "network.port_in_use", `Port ${id} is still in use.`);
  }
}

const DETACHED = {
  device_id: "",
  device_owner: "",
  host: "",
  status: "DOWN",
  device_index: 0,
  device_tag: null,
} as const;

async function serverPortRows(q: Queries, serverId: string): Promise<PortRow[]> {
  return await q.tables<NetworkTables>().selectFrom("ports").selectAll().where("device_id", "=", serverId).execute();
}
