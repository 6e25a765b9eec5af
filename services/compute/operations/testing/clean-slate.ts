import assert from "node:assert/strict";
import type { BlockStorageTables } from "../../../block-storage/store/tables.ts";
import type { NetworkTables } from "../../../network/store/tables.ts";
import { ENDED, type MigrationStatus } from "../../domain/migration-state.ts";
import type { VmState } from "../../domain/server-state.ts";
import { flavorOf, roomOf } from "../../store/servers.ts";
import type { ComputeTables, FlavorSnapshot } from "../../store/tables.ts";
import type { OperationWorld } from "./operation-world.ts";

/** How one server is to end. */
export interface Expected {
  readonly serverId: string;
  /** Any of these; null for a server that is nowhere. */
  readonly host: string | readonly string[] | null;
  readonly vm: VmState;
  /** Of the guest; derived from `vm` when absent. `gone`: its host has the disk only. */
  readonly power?: "running" | "paused" | "stopped" | "crashed" | "gone";
  /** What the server shows, when that is not the guest's power. */
  readonly shown?: "running" | "paused" | "stopped" | "crashed";
  /** Ids of the volumes that it, and its guest, is to have; none when absent. `all`: every volume that there is. */
  readonly volumes?: readonly string[] | "all";
  /** Of these its guest has disks, when those are not all that it is to have. */
  readonly plugged?: readonly string[];
  readonly flavor?: FlavorSnapshot;
  /** Statuses that its migration records may have although they have not ended. */
  readonly open?: readonly MigrationStatus[];
}

/** Demands that exactly these servers exist, each in one place, and that nothing else of anything is left anywhere. */
export async function expectCleanSlate(world: OperationWorld, ...servers: Expected[]): Promise<void> {
  const db = world.tools.store.read.tables<ComputeTables & NetworkTables>();
  assert.deepEqual(
    (await world.live()).map((row) => `${row.name} ${row.state} in ${row.step}`),
    [],
    "operations are under way",
  );
  assert.deepEqual(world.sim.violations, [], "something that must never happen did");
  const left = world.sim.leftovers();
  const guests: unknown[] = [];
  const disks: unknown[] = [];
  const allocations: unknown[] = [];
  const ports: string[] = [];
  const volumes: unknown[] = [];
  const attached: { volumeId: string; serverId: string; host: string | null }[] = [];
  for (const wanted of servers) {
    const row = await db.selectFrom("servers").selectAll().where("id", "=", wanted.serverId).executeTakeFirstOrThrow();
    const { serverId } = wanted;
    assert.equal(row.vm_state, wanted.vm, `vm_state of the server; fault ${row.fault}`);
    assert.equal(row.task_state, null, "task_state of the server");
    const places: (string | null)[] = wanted.host === null ? [null] : [wanted.host].flat();
    assert.ok(places.includes(row.host), `the server is on ${row.host}, not ${places.join(" or ")}`);
    const bound = await db.selectFrom("ports").select(["id", "host"]).where("device_id", "=", serverId).execute();
    if (row.host === null || row.deleted_at !== null) {
      assert.deepEqual(bound, [], "ports of a server that is nowhere");
      continue;
    }
    const flavor = roomOf(row, flavorOf(row));
    if (wanted.flavor) assert.deepEqual(flavor, wanted.flavor);
    const power = wanted.power ?? POWER_OF[wanted.vm];
    if (power !== "gone") guests.push({ host: row.host, serverId, power });
    assert.equal(row.power_state, POWER_NUMBERS[wanted.shown ?? power ?? "stopped"], "power_state of the server");
    if (row.storage !== "volume") disks.push({ store: row.storage === "shared" ? "store" : row.host, serverId });
    allocations.push({
      server_id: serverId,
      host: row.host,
      vcpus: flavor.vcpus,
      ram_mib: flavor.ramMiB,
      disk_gib: flavor.diskGiB,
    });
    assert.deepEqual(new Set(bound.map((port) => port.host)), new Set([row.host]), "hosts of the server's ports");
    const had = wanted.volumes === "all" ? await allVolumes(world) : (wanted.volumes ?? []);
    attached.push(...had.map((volumeId) => ({ volumeId, serverId, host: row.host })));
    if (power !== "gone")
      volumes.push(...(wanted.plugged ?? had).map((volumeId) => ({ host: row.host, serverId, volumeId })));
    if (power !== "gone") ports.push(...bound.map((port) => `${row.host} ${port.id}`));
    const open = await db
      .selectFrom("migrations")
      .select("status")
      .where("server_id", "=", serverId)
      .where("status", "not in", [...ENDED, ...(wanted.open ?? [])])
      .execute();
    assert.deepEqual(open, [], "open migration records");
  }
  assert.deepEqual(sorted(left.guests), sorted(guests), "guests on the hosts");
  assert.deepEqual(sorted(left.disks), sorted(disks), "disks");
  assert.deepEqual(sorted(left.volumes), sorted(volumes), "volumes of the guests");
  assert.deepEqual(left.listeners, [], "listeners");
  assert.deepEqual(left.ports.map((port) => `${port.host} ${port.portId}`).toSorted(), ports.toSorted(), "cards");
  const rows = await db
    .selectFrom("allocations")
    .select(["server_id", "host", "vcpus", "ram_mib", "disk_gib"])
    .execute();
  assert.deepEqual(sorted(rows), sorted(allocations), "allocations");
  await expectTrueCounters(world);
  await expectVolumes(world, attached);
}

/** Exactly these are attached, served and in use; all others are free, and none is left but those that were there before. */
async function expectVolumes(
  world: OperationWorld,
  attached: readonly { volumeId: string; serverId: string; host: string | null }[],
): Promise<void> {
  const db = world.tools.store.read.tables<ComputeTables & BlockStorageTables>();
  const ids = attached.map((one) => one.volumeId);
  const rows = await db.selectFrom("volumes").selectAll().where("deleted_at", "is", null).execute();
  for (const row of rows) {
    const { id, status, attach_status } = row;
    const free = [status, attach_status, world.givenVolumes.has(id) ? "given" : "made"];
    if (ids.includes(id)) assert.deepEqual([status, attach_status], ["in-use", "attached"], `volume ${id}`);
    else assert.deepEqual(free, ["available", "detached", "given"], `volume ${id}`);
  }
  assert.deepEqual(world.served.toSorted(), ids.toSorted(), "volumes that are served");
  const attachments = await db
    .selectFrom("volume_attachments")
    .select(["volume_id as volumeId", "server_id as serverId", "attached_host as host", "attach_status as status"])
    .execute();
  const expected = attached.map((one) => ({ ...one, status: "attached" }));
  assert.deepEqual(sorted(attachments), sorted(expected), "attachments");
  const devices = await db
    .selectFrom("server_block_devices")
    .select(["volume_id as volumeId", "server_id as serverId", "state"])
    .execute();
  const present = attached.map(({ volumeId, serverId }) => ({ volumeId, serverId, state: "present" }));
  assert.deepEqual(sorted(devices), sorted(present), "devices of servers");
}

async function allVolumes(world: OperationWorld): Promise<string[]> {
  const db = world.tools.store.read.tables<BlockStorageTables>();
  const rows = await db.selectFrom("volumes").select("id").where("deleted_at", "is", null).execute();
  return rows.map((row) => row.id);
}

/** What hosts count as promised is the sum of the promises. */
export async function expectTrueCounters(world: OperationWorld): Promise<void> {
  const db = world.tools.store.read.tables<ComputeTables>();
  const rows = await db.selectFrom("allocations").selectAll().execute();
  for (const host of await db.selectFrom("compute_hosts").selectAll().execute()) {
    const here = rows.filter((row) => row.host === host.host);
    const sum = (pick: (row: (typeof rows)[number]) => number) => here.reduce((total, row) => total + pick(row), 0);
    assert.deepEqual(
      [host.vcpus_used, host.ram_used_mib, host.disk_used_gib],
      [sum((r) => r.vcpus), sum((r) => r.ram_mib), sum((r) => r.disk_gib)],
      `what is promised on ${host.host}`,
    );
  }
}

const POWER_OF: Partial<Record<VmState, "running" | "paused" | "stopped">> = {
  active: "running",
  paused: "paused",
  stopped: "stopped",
  resized: "running",
};
const POWER_NUMBERS = { running: 1, paused: 3, stopped: 4, crashed: 6, gone: 4 } as const;

function sorted(list: readonly unknown[]): string[] {
  return list.map((one) => JSON.stringify(one)).toSorted();
}
