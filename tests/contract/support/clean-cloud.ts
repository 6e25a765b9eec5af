import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { tapName } from "../../../agent/drivers/compute/network/host-network.ts";
import { type RealCloud, until } from "./real-cloud.ts";

const SETTLE_LIMIT_MS = 120_000;

/** A server at rest and where its disk is. */
export interface AtRest {
  readonly id: string;
  readonly storage: "local" | "shared";
}

/**
 * Demands that nothing is under way for the servers, that each runs on exactly the host that the cloud names, and that no
 * process, disk, tap or allocation is anywhere but there.
 */
export async function assertCleanCloud(cloud: RealCloud, servers: readonly AtRest[]): Promise<void> {
  const live = async () => (await Promise.all(servers.map(({ id }) => cloud.api.liveOperations(id)))).flat();
  await until("no operation is under way", SETTLE_LIMIT_MS, async () => (await live()).length === 0);
  const homes = new Map<string, string | null>();
  const taps = new Map<string, string[]>();
  for (const { id } of servers) {
    const server = await cloud.api.server(id);
    assert.equal(server.status, "ACTIVE", JSON.stringify(server.fault));
    homes.set(id, server["OS-EXT-SRV-ATTR:host"]);
    taps.set(id, (await cloud.api.ports(id)).map(tapName));
  }
  for (const host of cloud.hosts) {
    const here = servers.filter(({ id }) => homes.get(id) === host);
    const guests = here.map(({ id }) => id).sort();
    const disks = here.filter(({ storage }) => storage === "local").map(({ id }) => id);
    const wanted = { guests, running: guests, disks: disks.sort(), taps: here.flatMap(({ id }) => taps.get(id) ?? []) };
    const found = await cloud.sight(host).holdings();
    assert.deepEqual({ ...found, taps: found.taps.sort() }, { ...wanted, taps: wanted.taps.sort() }, host);
  }
  const inStore = (await readdir(join(cloud.stateDir, "shared-instances", "instances"))).sort();
  assert.deepEqual(
    inStore.filter((name) => servers.some(({ id }) => id === name)),
    servers.flatMap(({ id, storage }) => (storage === "shared" ? [id] : [])).sort(),
  );
  assert.deepEqual(inStore.length, servers.filter(({ storage }) => storage === "shared").length);
  assert.deepEqual(allocations(cloud), servers.map(({ id }) => `${id} on ${homes.get(id)}`).sort(), "allocations");
}

function allocations(cloud: RealCloud): string[] {
  const database = new DatabaseSync(join(cloud.stateDir, "pileus.db"), { readOnly: true });
  try {
    const rows = database.prepare("SELECT server_id, host FROM allocations").all() as {
      server_id: string;
      host: string;
    }[];
    return rows.map((row) => `${row.server_id} on ${row.host}`).sort();
  } finally {
    database.close();
  }
}
