import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const HOST = "OS-EXT-SRV-ATTR:host";

describe("compute, as the nova client sees it", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin } = cloud);
    servers = new CloudServers(admin);
  });
  after(() => cloud.dispose());

  it("migrates, confirms and reverts", async () => {
    const { id } = await servers.boot({ host: "host-1" });
    await admin.nova(`migrate --host host-2 ${id}`);
    assert.equal((await servers.settled(id, "VERIFY_RESIZE"))[HOST], "host-2");
    await admin.nova(`resize-confirm ${id}`);
    assert.equal((await servers.settled(id, "ACTIVE"))[HOST], "host-2");
    await admin.nova(`migrate ${id}`);
    await servers.settled(id, "VERIFY_RESIZE");
    await admin.nova(`resize-revert ${id}`);
    assert.equal((await servers.settled(id, "ACTIVE"))[HOST], "host-2");
    const list = await admin.nova(`migration-list --instance-uuid ${id}`);
    assert.match(list, /confirmed/);
    assert.match(list, /reverted/);
    const actions = await admin.nova(`instance-action-list ${id}`);
    for (const name of ["create", "migrate", "confirmResize", "revertResize"]) assert.match(actions, new RegExp(name));
    const { request_id } = await servers.action(id, "migrate");
    assert.match(await admin.nova(`instance-action ${id} ${request_id}`), /conductor_migrate_server/);
  });

  it("live-migrates at every form of the request", async () => {
    const { id } = await servers.boot({ host: "host-1" });
    const forms = [
      ["2.1", "--block-migrate", "host-2"],
      ["2.24", "--block-migrate --disk-over-commit", "host-1"],
      ["2.25", "--block-migrate", "host-2"],
      ["2.30", "--force", "host-1"],
      ["2.68", "", "host-2"],
    ];
    for (const [version, flags, host] of forms) {
      await admin.nova(`--os-compute-api-version ${version} live-migration ${flags} ${id} ${host}`);
      const there = (server: Record<string, unknown>) => server[HOST] === host && server.status === "ACTIVE";
      await until(`on ${host} by ${version}`, () => servers.show(id), there);
      await servers.migrated(id, "completed");
    }
  });

  it("lists, shows, forces and aborts migrations in progress", async () => {
    const { id } = await servers.boot();
    cloud.simulation.world.setDirtiesMemory(id, true);
    await admin.nova(`live-migration ${id}`);
    const first = await servers.migrated(id, "running");
    assert.match(await admin.nova(`server-migration-list ${id}`), new RegExp(`${first.id} .*running .*${id}`));
    assert.match(await admin.nova(`server-migration-show ${id} ${first.id}`), /running/);
    await admin.nova(`live-migration-abort ${id} ${first.id}`);
    await servers.migrated(id, "cancelled");
    await servers.settled(id, "ACTIVE");
    await admin.nova(`live-migration ${id}`);
    const second = await servers.migrated(id, "running");
    await admin.nova(`live-migration-force-complete ${id} ${second.id}`);
    await servers.migrated(id, "completed");
    assert.equal((await servers.settled(id, "ACTIVE"))[HOST], second.dest_compute);
    cloud.simulation.world.setDirtiesMemory(id, false);
  });

  it("resets states and networks", async () => {
    const server = await servers.boot();
    await admin.nova(`reset-state ${server.id}`);
    assert.equal((await servers.show(server.id)).status, "ERROR");
    await admin.nova(`reset-state --active ${server.id}`);
    assert.equal((await servers.show(server.id)).status, "ACTIVE");
    const guest = cloud.simulation.world.host(server[HOST])?.guests.get(server.id);
    const help = await admin.tryNova("help reset-network");
    if (help.code === 0) await admin.nova(`reset-network ${server.id}`);
    else assert.equal((await admin.act(server.id, { resetNetwork: null })).status, 202);
    await until(
      "network reset",
      async () => guest?.networkResets,
      (resets) => resets === 1,
    );
    assert.equal((await admin.act(server.id, { injectNetworkInfo: null })).status, 202);
    const addresses = Object.values(server.addresses as Record<string, { addr: string }[]>).flat();
    const seen = async () => Object.values(guest?.seenByGuest ?? {}).flat();
    await until("network seen in the guest", seen, (list) => list.includes(addresses[0]?.addr ?? "none"));
  });

  it("empties a host alive, and a dead one", async () => {
    const { id } = await servers.boot({ host: "host-3" });
    await admin.nova("host-evacuate-live host-3");
    await servers.migrated(id, "completed");
    const moved = await servers.settled(id, "ACTIVE");
    assert.notEqual(moved[HOST], "host-3");
    await admin.openstack(`compute service set --down ${moved[HOST]} nova-compute`);
    await admin.nova(`evacuate ${id} host-3`);
    // The old host lives, so it may have been cleaned already.
    await servers.migrated(id, "done", "completed");
    assert.equal((await servers.idle(id))[HOST], "host-3");
    await admin.nova("host-evacuate host-3");
  });
});
