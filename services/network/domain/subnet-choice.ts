import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { SubnetRow } from "../store/tables.ts";
import { invalidInput } from "./faults.ts";
import { type Address, contains, formatAddress, parseCidr } from "./ip.ts";
import { hostRange } from "./pools.ts";

/** An entry of a port's `fixed_ips`, as a client asks for it. */
export interface FixedIpRequest {
  readonly subnet_id?: string;
  readonly ip_address?: string;
}

export function subnetOf(subnets: readonly SubnetRow[], id: string, networkId: string): SubnetRow {
  const subnet = subnets.find((each) => each.id === id);
  if (!subnet)
    throw invalidInput(
      `Failed to create port on network ${networkId}, because fixed_ips included invalid subnet ${id}.`,
    );
  return subnet;
}

/** The subnet that an address belongs to. Throws when none of the network's, or not the one that was named, has room for it. */
export function subnetForAddress(
  subnets: readonly SubnetRow[],
  networkId: string,
  address: Address,
  subnetId?: string,
): SubnetRow {
  if (subnetId === undefined) {
    const found = subnets.find((subnet) => isUsable(subnet, address));
    if (found) return found;
    throw new CloudError(
      "invalid",
      "network.invalid_ip_for_network",
      `IP address ${formatAddress(address)} is not a valid IP for any of the subnets on network ${networkId}.`,
    );
  }
  const subnet = subnetOf(subnets, subnetId, networkId);
  if (isUsable(subnet, address)) return subnet;
  throw new CloudError(
    "invalid",
    "network.invalid_ip_for_subnet",
    `IP address ${formatAddress(address)} is not a valid IP for the specified subnet.`,
  );
}

function isUsable(subnet: SubnetRow, address: Address): boolean {
  const cidr = parseCidr(subnet.cidr);
  return cidr !== undefined && contains({ ...cidr, ...hostRange(cidr) }, address);
}
