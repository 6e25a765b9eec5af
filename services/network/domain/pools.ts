import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Address, addressKey, type Cidr, contains, formatAddress, parseAddress } from "./ip.ts";

/** Addresses from which a subnet hands out by itself; both ends belong to it. */
export interface Pool {
  readonly start: string;
  readonly end: string;
}

/** A pool as the keys that addresses are stored under. */
export interface KeyRange {
  readonly first: string;
  readonly last: string;
}

/** The first address after the network's own, as Neutron chooses gateways; undefined when the prefix has no room. */
export function defaultGateway(cidr: Cidr): string | undefined {
  if (cidr.first === cidr.last) return undefined;
  return formatAddress({ version: cidr.version, value: cidr.first + 1n });
}

/** Everything but the network's own address, IPv4's broadcast address and the gateway. */
export function defaultPools(cidr: Cidr, gateway: string | null): Pool[] {
  const { version } = cidr;
  const single = cidr.last - cidr.first < 2n;
  const first = single ? cidr.first : cidr.first + 1n;
  const last = single || version === 6 ? cidr.last : cidr.last - 1n;
  const hole = gateway === null ? undefined : parseAddress(gateway)?.value;
  const pieces: [bigint, bigint][] =
    hole === undefined || hole < first || hole > last
      ? [[first, last]]
      : [
          [first, hole - 1n],
          [hole + 1n, last],
        ];
  return pieces
    .filter(([start, end]) => start <= end)
    .map(([start, end]) => ({
      start: formatAddress({ version, value: start }),
      end: formatAddress({ version, value: end }),
    }));
}

/** The pools in canonical form, in order. Throws `network.invalid_allocation_pool`, `…_out_of_bounds`, `overlapping_…` and `gateway_conflict…`. */
export function checkedPools(cidr: Cidr, gateway: string | null, pools: readonly Pool[]): Pool[] {
  const ranges = pools.map((pool) => checkedRange(cidr, pool)).sort((a, b) => (a.start.value < b.start.value ? -1 : 1));
  for (const [index, range] of ranges.entries()) {
    const before = ranges[index - 1];
    if (before && before.end.value >= range.start.value) {
      throw new CloudError("conflict", "network.overlapping_allocation_pools", "The allocation pools overlap.");
    }
  }
  const hole = gateway === null ? undefined : parseAddress(gateway);
  if (hole && ranges.some(({ start, end }) => hole.value >= start.value && hole.value <= end.value)) {
    throw new CloudError(
      "conflict",
      "network.gateway_conflict_with_allocation_pools",
      `The gateway ${gateway} lies within an allocation pool.`,
    );
  }
  return ranges.map(({ start, end }) => ({ start: formatAddress(start), end: formatAddress(end) }));
}

export function keyRanges(pools: readonly Pool[]): KeyRange[] {
  return pools.flatMap(({ start, end }) => {
    const [first, last] = [parseAddress(start), parseAddress(end)];
    return first && last ? [{ first: addressKey(first), last: addressKey(last) }] : [];
  });
}

function checkedRange(cidr: Cidr, pool: Pool): { start: Address; end: Address } {
  const [start, end] = [parseAddress(pool.start), parseAddress(pool.end)];
  if (!start || !end || start.version !== cidr.version || end.version !== cidr.version || start.value > end.value) {
    throw new CloudError(
      "invalid",
      "network.invalid_allocation_pool",
      `The allocation pool ${pool.start}-${pool.end} is not valid.`,
    );
  }
  const usable = { ...cidr, ...hostRange(cidr) };
  if (!contains(usable, start) || !contains(usable, end)) {
    throw new CloudError(
      "invalid",
      "network.out_of_bounds_allocation_pool",
      `The allocation pool ${pool.start}-${pool.end} spans beyond the subnet.`,
    );
  }
  return { start, end };
}

/** Where hosts may have addresses: not the network's own, nor IPv4's broadcast address. */
export function hostRange(cidr: Cidr): { first: bigint; last: bigint } {
  if (cidr.last - cidr.first < 2n) return { first: cidr.first, last: cidr.last };
  return { first: cidr.first + 1n, last: cidr.version === 4 ? cidr.last - 1n : cidr.last };
}
