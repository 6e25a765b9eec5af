import assert from "node:assert/strict";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import { ENDED } from "../../../services/compute/domain/migration-state.ts";
import { flavorOf } from "../../../services/compute/store/servers.ts";
import type { ComputeTables } from "../../../services/compute/store/tables.ts";
import type { NetworkTables } from "../../../services/network/store/tables.ts";
import { until } from "./killable.ts";
import type { KilledCloud } from "./killed-cloud.ts";

/** Clean-up behind the users' requests may take as long as a dead process's lease. */
const SETTLE_LIMIT_MS = 120_000;

/**
 * Demands that no operation is left, and that each of these servers runs on exactly the host that the cloud names, with its
 * disk, card and room there and nowhere else.
 */
export async function expectRest(cloud: KilledCloud, guests: readonly string[]): Promise<void> {
  const db = cloud.database.store.read.tables<ComputeTables & NetworkTables & OperationTables>();
  await until("no operation is under way", SETTLE_LIMIT_MS, async () => {
    const live = db
      .selectFrom("operations")
      .select("id")
      .where("state", "not in", [...FINAL_STATES]);
    return (await live.execute()).length === 0;
  });
  const servers = await db.selectFrom("servers").selectAll().where("deleted_at", "is", null).execute();
  const ports = await db
    .selectFrom("ports")
    .selectAll()
    .where("device_id", "in", [...guests])
    .execute();
  assert.deepEqual(servers.map(({ id }) => id).toSorted(), guests.toSorted());
  for (const { id, vm_state, task_state, power_state, fault } of servers) {
    assert.deepEqual([vm_state, task_state, power_state], ["active", null, 1], `server ${id}; fault ${fault}`);
  }
  assert.deepEqual(
    lines(ports.map(({ device_id, host }) => ({ device_id, host }))),
    lines(servers.map(({ id, host }) => ({ device_id: id, host }))),
    "one port for each server, bound to its host",
  );
  const addresses = await db.selectFrom("port_addresses").select("port_id").execute();
  const allPorts = await db.selectFrom("ports").select(["id", "device_id"]).execute();
  assert.equal(allPorts.filter((port) => !guests.includes(port.device_id)).length, 0, "ports of nobody");
  assert.deepEqual(lines(addresses.map((row) => row.port_id)), lines(allPorts.map((row) => row.id)), "addresses");

  const left = cloud.world.leftovers();
  assert.deepEqual(cloud.world.violations, [], "something that must never happen did");
  assert.deepEqual(
    lines(left.guests),
    lines(servers.map(({ id, host }) => ({ host, serverId: id, power: "running" }))),
    "guests on the hosts",
  );
  assert.deepEqual(
    lines(left.disks),
    lines(servers.map(({ id, host, storage }) => ({ store: storage === "shared" ? "store" : host, serverId: id }))),
    "disks",
  );
  assert.deepEqual(left.listeners, [], "listeners");
  assert.deepEqual(lines(left.ports), lines(ports.map(({ id, host }) => ({ host, portId: id }))), "cards");

  const open = db
    .selectFrom("migrations")
    .select(["server_id", "status"])
    .where("status", "not in", [...ENDED]);
  assert.deepEqual(await open.execute(), [], "open migration records");
  assert.deepEqual(await db.selectFrom("operation_slots").selectAll().execute(), [], "places that are still taken");
  const allocations = await db.selectFrom("allocations").selectAll().execute();
  assert.deepEqual(
    lines(
      allocations.map(({ server_id, host, vcpus, ram_mib, disk_gib }) => [server_id, host, vcpus, ram_mib, disk_gib]),
    ),
    lines(
      servers.map((row) => {
        const { vcpus, ramMiB, diskGiB } = flavorOf(row);
        return [row.id, row.host, vcpus, ramMiB, diskGiB];
      }),
    ),
    "allocations",
  );
  for (const host of await db.selectFrom("compute_hosts").selectAll().execute()) {
    const here = allocations.filter((row) => row.host === host.host);
    const sum = (pick: (row: (typeof here)[number]) => number) => here.reduce((total, row) => total + pick(row), 0);
    assert.deepEqual(
      [host.vcpus_used, host.ram_used_mib, host.disk_used_gib],
      [sum((row) => row.vcpus), sum((row) => row.ram_mib), sum((row) => row.disk_gib)],
      `what is promised on ${host.host}`,
    );
  }
}

const lines = (list: readonly unknown[]): string[] => list.map((one) => JSON.stringify(one)).toSorted();
