import { isIPv4, isIPv6 } from "node:net";

export type IpVersion = 4 | 6;

/** An IP address as a number. */
export interface Address {
  readonly version: IpVersion;
  readonly value: bigint;
}

/** A network prefix; `first` is its lowest address. */
export interface Cidr {
  readonly version: IpVersion;
  readonly first: bigint;
  readonly last: bigint;
  readonly prefix: number;
}

export const bitsOf = (version: IpVersion): number => (version === 4 ? 32 : 128);

/** Undefined when the text is no IPv4 or IPv6 address; zones (`%eth0`) are none. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { version: 4, value: joinParts(text.split(".").map(Number), 8) };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  return { version: 6, value: joinParts(ipv6Groups(text), 16) };
}

/** The canonical text: IPv6 in lower case with its longest run of zeros left out. */
export function formatAddress({ version, value }: Address): string {
  if (version === 4) return splitParts(value, 4, 8).join(".");
  const groups = splitParts(value, 8, 16).map((group) => group.toString(16));
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.join(":");
  return `${groups.slice(0, zeros.start).join(":")}::${groups.slice(zeros.start + zeros.length).join(":")}`;
}

/** Text that sorts as the address does, within one version. */
export function addressKey({ version, value }: Address): string {
  return value.toString(16).padStart(bitsOf(version) / 4, "0");
}

export function fromKey(version: IpVersion, key: string): Address {
  return { version, value: BigInt(`0x${key}`) };
}

/** Undefined when the text is no `address/length`. Host bits are cleared, as Neutron does. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", length = "", ...rest] = text.split("/");
  const parsed = parseAddress(address);
  if (!parsed || rest.length > 0 || !/^\d{1,3}$/.test(length)) return undefined;
  const prefix = Number(length);
  const bits = bitsOf(parsed.version);
  if (prefix > bits) return undefined;
  const size = 1n << BigInt(bits - prefix);
  const first = parsed.value - (parsed.value % size);
  return { version: parsed.version, first, last: first + size - 1n, prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress({ version: cidr.version, value: cidr.first })}/${cidr.prefix}`;
}

export function contains(cidr: Cidr, address: Address): boolean {
  return address.version === cidr.version && address.value >= cidr.first && address.value <= cidr.last;
}

export function overlap(a: Cidr, b: Cidr): boolean {
  return a.version === b.version && a.first <= b.last && b.first <= a.last;
}

function ipv6Groups(text: string): number[] {
  const dotted = text.lastIndexOf(":");
  const tail = text.slice(dotted + 1);
  if (isIPv4(tail)) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split(".").map(Number);
    return ipv6Groups(`${text.slice(0, dotted + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const [head = "", rest] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  if (rest === undefined) return groups(head);
  const [left, right] = [groups(head), groups(rest)];
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function joinParts(parts: readonly number[], bits: number): bigint {
  return parts.reduce((sum, part) => (sum << BigInt(bits)) | BigInt(part), 0n);
}

function splitParts(value: bigint, count: number, bits: number): number[] {
  const mask = (1n << BigInt(bits)) - 1n;
  return Array.from({ length: count }, (_, index) => Number((value >> BigInt(bits * (count - 1 - index))) & mask));
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = -1;
  for (const [index, group] of groups.entries()) {
    if (group !== "0") {
      start = -1;
      continue;
    }
    if (start < 0) start = index;
    if (index - start + 1 > best.length) best = { start, length: index - start + 1 };
  }
  return best;
}
