import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { invalidInput } from "./faults.ts";
import { type Cidr, contains, formatAddress, formatCidr, parseAddress, parseCidr } from "./ip.ts";
import { checkedPools, defaultGateway, defaultPools, hostRange, type Pool } from "./pools.ts";

export interface HostRoute {
  readonly destination: string;
  readonly nexthop: string;
}

/** What a client asks of a subnet. */
export interface SubnetRequest {
  readonly cidr: string;
  readonly ipVersion?: number;
  /** Null: none. Absent: the first address. */
  readonly gatewayIp?: string | null;
  readonly enableDhcp?: boolean;
  readonly pools?: readonly Pool[];
  readonly dnsNameservers?: readonly string[];
  readonly hostRoutes?: readonly HostRoute[];
}

/** A subnet that is consistent in itself, everything in canonical form. */
export interface SubnetPlan {
  readonly cidr: Cidr;
  readonly cidrText: string;
  readonly gatewayIp: string | null;
  readonly enableDhcp: boolean;
  readonly pools: readonly Pool[];
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly HostRoute[];
}

/** Throws `network.invalid_input`, `network.gateway_ip_invalid` or one of the faults of pools. */
export function planSubnet(request: SubnetRequest): SubnetPlan {
  const cidr = parseCidr(request.cidr);
  if (!cidr) throw invalidInput(`'${request.cidr}' is not a valid IP subnet.`);
  if (request.ipVersion !== undefined && request.ipVersion !== cidr.version) {
    throw invalidInput(`cidr '${request.cidr}' does not match the ip_version '${request.ipVersion}'.`);
  }
  const gatewayIp =
    request.gatewayIp === undefined ? (defaultGateway(cidr) ?? null) : checkedGateway(cidr, request.gatewayIp);
  return {
    cidr,
    cidrText: formatCidr(cidr),
    gatewayIp,
    enableDhcp: request.enableDhcp ?? true,
    pools: request.pools ? checkedPools(cidr, gatewayIp, request.pools) : defaultPools(cidr, gatewayIp),
    dnsNameservers: checkedDns(request.dnsNameservers ?? []),
    hostRoutes: checkedRoutes(cidr, request.hostRoutes ?? []),
  };
}

/** A gateway must be an address that a host of the subnet could have. */
export function checkedGateway(cidr: Cidr, gateway: string | null): string | null {
  if (gateway === null) return null;
  const address = parseAddress(gateway);
  if (address && contains({ ...cidr, ...hostRange(cidr) }, address)) return formatAddress(address);
  throw new CloudError(
    "invalid",
    "network.gateway_ip_invalid",
    `Gateway IP ${gateway} is not valid for the subnet ${formatCidr(cidr)}.`,
  );
}

export function checkedDns(servers: readonly string[]): string[] {
  const checked = servers.map((server) => {
    const address = parseAddress(server);
    if (!address) throw invalidInput(`'${server}' is not a valid nameserver.`);
    return formatAddress(address);
  });
  if (new Set(checked).size !== checked.length) throw invalidInput("duplicate nameserver.");
  return checked;
}

export function checkedRoutes(cidr: Cidr, routes: readonly HostRoute[]): HostRoute[] {
  return routes.map(({ destination, nexthop }) => {
    const [target, hop] = [parseCidr(destination), parseAddress(nexthop)];
    if (!target || !hop || target.version !== cidr.version || hop.version !== cidr.version) {
      throw invalidInput(`the route ${destination} via ${nexthop} is not valid.`);
    }
    return { destination: formatCidr(target), nexthop: formatAddress(hop) };
  });
}
