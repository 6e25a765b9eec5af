import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { addressTaken, invalidInput, noMoreAddresses } from "../domain/faults.ts";
import { type Address, addressKey, formatAddress, fromKey, type IpVersion, parseAddress } from "../domain/ip.ts";
import { type KeyRange, keyRanges, type Pool } from "../domain/pools.ts";
import { type FixedIpRequest, subnetForAddress, subnetOf } from "../domain/subnet-choice.ts";
import type { NetworkTables, PortAddressTable, SubnetRow } from "./tables.ts";

/** Used addresses read at a time while looking for a gap. */
const WINDOW = 256;

/** A port as far as addresses are concerned. */
export interface AddressedPort {
  readonly id: string;
  readonly networkId: string;
}

export async function addressesOf(q: Queries, portIds: readonly string[]): Promise<PortAddressTable[]> {
  if (portIds.length === 0) return [];
  return await q
    .tables<NetworkTables>()
    .selectFrom("port_addresses")
    .selectAll()
    .where("port_id", "in", portIds)
    .orderBy("position")
    .execute();
}

/**
 * One address per IP version that the network has subnets of; none when it has no subnet.
 * Throws `network.ip_address_generation_failure` when a version has no free address.
 */
export async function takeAnyAddresses(t: Tx, port: AddressedPort, subnets: readonly SubnetRow[]): Promise<void> {
  let position = 0;
  for (const version of [4, 6]) {
    const candidates = subnets.filter((subnet) => subnet.ip_version === version);
    if (candidates.length === 0) continue;
    if (!(await takeFromFirst(t, port, candidates, position))) throw noMoreAddresses(port.networkId);
    position += 1;
  }
}

/** Exactly what was asked for, in that order. */
export async function takeRequestedAddresses(
  t: Tx,
  port: AddressedPort,
  subnets: readonly SubnetRow[],
  requests: readonly FixedIpRequest[],
): Promise<void> {
  for (const [position, request] of requests.entries()) {
    if (request.ip_address === undefined) {
      const subnet = subnetOf(subnets, request.subnet_id ?? "", port.networkId);
      if (!(await takeFree(t, port.id, subnet, position))) throw noMoreAddresses(port.networkId);
      continue;
    }
    const address = parseAddress(request.ip_address);
    if (!address) throw invalidInput(`'${request.ip_address}' is not a valid IP address.`);
    const subnet = subnetForAddress(subnets, port.networkId, address, request.subnet_id);
    if (!(await take(t, port.id, subnet, address, position))) throw addressTaken(formatAddress(address), subnet.id);
  }
}

/** Makes the port's addresses those of the request, keeping the ones it has already. */
export async function replaceAddresses(
  t: Tx,
  port: AddressedPort,
  subnets: readonly SubnetRow[],
  requests: readonly FixedIpRequest[],
): Promise<void> {
  const has = await addressesOf(t, [port.id]);
  const kept = requests.map((request) => {
    const index = has.findIndex((row) => isWanted(row, request));
    const [row] = index < 0 ? [] : has.splice(index, 1);
    return row ? { subnet_id: row.subnet_id, ip_address: row.address } : request;
  });
  await t.tables<NetworkTables>().deleteFrom("port_addresses").where("port_id", "=", port.id).execute();
  await takeRequestedAddresses(t, port, subnets, kept);
}

function isWanted(row: PortAddressTable, request: FixedIpRequest): boolean {
  if (request.subnet_id !== undefined && request.subnet_id !== row.subnet_id) return false;
  if (request.ip_address === undefined) return request.subnet_id !== undefined;
  const wanted = parseAddress(request.ip_address);
  return wanted !== undefined && formatAddress(wanted) === row.address;
}

async function takeFromFirst(t: Tx, port: AddressedPort, subnets: readonly SubnetRow[], position: number) {
  for (const subnet of subnets) if (await takeFree(t, port.id, subnet, position)) return true;
  return false;
}

/** The next free address behind the one handed out last. Whoever looks holds the subnet's row until the end of its transaction. */
async function takeFree(t: Tx, portId: string, subnet: SubnetRow, position: number): Promise<boolean> {
  const version: IpVersion = subnet.ip_version === 4 ? 4 : 6;
  const locked = await lockSubnet(t, subnet.id);
  const pools = JSON.parse(locked.allocation_pools) as Pool[];
  for (const range of behind(keyRanges(pools), locked.cursor_key, version)) {
    for (;;) {
      const free = await firstFree(t, subnet.id, version, range);
      if (!free) break;
      // An explicit request of another transaction may win the race for this very address; then there is a next one.
      if (!(await take(t, portId, subnet, free, position))) continue;
      await moveCursor(t, subnet.id, addressKey(free));
      return true;
    }
  }
  return false;
}

/** The ranges in the order of the search: from behind the cursor to the end, then from the start up to the cursor. */
function behind(ranges: readonly KeyRange[], cursor: string, version: IpVersion): KeyRange[] {
  if (cursor === "") return [...ranges];
  const next = addressKey({ version, value: fromKey(version, cursor).value + 1n });
  const after = ranges.flatMap((r) => (r.last > cursor ? [{ ...r, first: r.first > cursor ? r.first : next }] : []));
  const before = ranges.flatMap((r) => (r.first <= cursor ? [{ ...r, last: r.last < cursor ? r.last : cursor }] : []));
  return [...after, ...before];
}

async function firstFree(t: Tx, subnetId: string, version: IpVersion, range: KeyRange): Promise<Address | undefined> {
  let candidate = fromKey(version, range.first).value;
  for (;;) {
    const used = await t
      .tables<NetworkTables>()
      .selectFrom("port_addresses")
      .select("address_key")
      .where("subnet_id", "=", subnetId)
      .where("address_key", ">=", addressKey({ version, value: candidate }))
      .where("address_key", "<=", range.last)
      .orderBy("address_key")
      .limit(WINDOW)
      .execute();
    for (const { address_key } of used) {
      if (fromKey(version, address_key).value !== candidate) return { version, value: candidate };
      candidate += 1n;
    }
    if (used.length < WINDOW) break;
  }
  return candidate <= fromKey(version, range.last).value ? { version, value: candidate } : undefined;
}

async function take(t: Tx, portId: string, subnet: SubnetRow, address: Address, position: number): Promise<boolean> {
  const inserted = await t
    .tables<NetworkTables>()
    .insertInto("port_addresses")
    .values({
      port_id: portId,
      subnet_id: subnet.id,
      address_key: addressKey(address),
      address: formatAddress(address),
      position,
    })
    .onConflict((c) => c.columns(["subnet_id", "address_key"]).doNothing())
    .returning("port_id")
    .executeTakeFirst();
  return inserted !== undefined;
}

async function lockSubnet(t: Tx, id: string): Promise<{ cursor_key: string; allocation_pools: string }> {
  return await t
    .tables<NetworkTables>()
    .updateTable("subnets")
    .set((eb) => ({ cursor_key: eb.ref("cursor_key") }))
    .where("id", "=", id)
    .returning(["cursor_key", "allocation_pools"])
    .executeTakeFirstOrThrow();
}

async function moveCursor(t: Tx, subnetId: string, cursor_key: string): Promise<void> {
  await t.tables<NetworkTables>().updateTable("subnets").set({ cursor_key }).where("id", "=", subnetId).execute();
}
