import type { Nic } from "../../agent/protocol/compute.ts";
import type { Queries, Tx } from "../../kernel/store/store.ts";

/** One card that a server's owner asks for: a new port on a network, or a port that exists already. */
export type RequestedNic =
  | { readonly networkId: string; readonly fixedIp?: string; readonly tag?: string }
  | { readonly portId: string; readonly tag?: string };

/** On whose behalf ports are chosen, for which server, and where it runs (null: not known yet; see `bindPorts`). */
export interface PortOwner {
  readonly projectId: string;
  readonly serverId: string;
  readonly host: string | null;
  /** May use networks and ports of any project. */
  readonly isAdmin: boolean;
}

export interface AllocatePorts extends PortOwner {
  /** `auto`: the one network that the project can use, its own or shared. */
  readonly requested: readonly RequestedNic[] | "auto" | "none";
  /** Names or ids; empty means the project's default group. Only for ports made here. */
  readonly securityGroups: readonly string[];
}

export interface PortInfo {
  readonly portId: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly mac: string;
  readonly fixedIps: readonly { readonly subnetId: string; readonly address: string }[];
  readonly status: "ACTIVE" | "DOWN";
  /** Device tag given when the server or the card was requested. */
  readonly tag: string | null;
  /** True: deleted together with the server; false: brought by the user. */
  readonly madeForServer: boolean;
}

/** A security group as Compute shows it, with what it lets in. */
export interface SecurityGroupInfo {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly projectId: string;
  readonly ingress: readonly IngressRule[];
}

/** Null: any. `remoteGroup`: a group's name and project. */
export interface IngressRule {
  readonly id: string;
  readonly protocol: string | null;
  readonly fromPort: number | null;
  readonly toPort: number | null;
  readonly cidr: string | null;
  readonly remoteGroup: { readonly name: string; readonly projectId: string } | null;
}

/** One entry of a server's `addresses`, as Compute shows it. */
export interface ServerAddress {
  readonly version: 4 | 6;
  readonly addr: string;
  readonly "OS-EXT-IPS:type": "fixed";
  readonly "OS-EXT-IPS-MAC:mac_addr": string;
}

/** Network name → addresses. */
export type ServerAddresses = Readonly<Record<string, readonly ServerAddress[]>>;

/**
 * What Compute needs of networks. Functions with a transaction change nothing outside it.
 *
 * Bad references are `invalid` errors (`network.unknown_network`, `network.unknown_port`,
 * `network.unknown_security_group`, `network.requires_subnet`, `network.none_available`, `network.invalid_ip_for_network`, …); `conflict` are
 * `network.ambiguous`, `network.port_in_use` and `network.ip_address_already_allocated`, `network.ip_address_generation_failure`; `overQuota` is `network.over_quota`.
 */
export interface NetworkPublic {
  /** Ports for a new server, in the order of the request. All or none. */
  allocatePorts(t: Tx, request: AllocatePorts): Promise<PortInfo[]>;
  /** Deletes the ports that were made for the server and detaches those the user brought. Fine when there are none. */
  releasePorts(t: Tx, serverId: string): Promise<void>;
  /** `binding:host_id` follows the server; null unbinds. */
  bindPorts(t: Tx, serverId: string, host: string | null): Promise<void>;
  /** One more card. */
  attachPort(
    t: Tx,
    request: PortOwner & { readonly nic: RequestedNic; readonly securityGroups: readonly string[] },
  ): Promise<PortInfo>;
  /** One card less. Throws `notFound` `network.port_not_attached`. */
  detachPort(t: Tx, serverId: string, portId: string): Promise<void>;
  /**
   * Gives all the server's ports a group of its project, by id or name. Throws `notFound` `network.security_group_not_found`,
   * `conflict` `network.security_group_ambiguous`, and `invalid` `network.no_ports` for a server without ports.
   */
  addSecurityGroup(t: Tx, server: { id: string; projectId: string }, nameOrId: string): Promise<void>;
  /** The opposite. Also throws `notFound` `network.security_group_not_associated`. */
  removeSecurityGroup(t: Tx, server: { id: string; projectId: string }, nameOrId: string): Promise<void>;

  /** The server's ports, in the order of its cards. */
  portsOf(q: Queries, serverId: string): Promise<PortInfo[]>;
  /** The same as an agent needs them. */
  nicsOf(q: Queries, serverId: string): Promise<Nic[]>;
  /** `addresses` of many servers in one query; servers without a port have no entry. */
  networkInfo(q: Queries, serverIds: readonly string[]): Promise<ReadonlyMap<string, ServerAddresses>>;
  /** Names of the security groups of many servers' ports, each once; servers without one have no entry. */
  securityGroupNames(q: Queries, serverIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
  /** The security groups of the server's ports, each once, by name. */
  securityGroupsOf(q: Queries, serverId: string): Promise<SecurityGroupInfo[]>;
  /** All security groups of a project, by name. */
  securityGroupsOfProject(q: Queries, projectId: string): Promise<SecurityGroupInfo[]>;
}
