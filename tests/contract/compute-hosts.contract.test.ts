import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, type Json, until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const HOST = "OS-EXT-SRV-ATTR:host";

describe("hosts and evacuation, as the openstack client sees them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud({ hosts: 4 });
    ({ admin } = cloud);
    servers = new CloudServers(admin);
  });
  after(() => cloud.dispose());

  const service = async (host: string) =>
    (await admin.json(`compute service list --long --service nova-compute --host ${host}`))[0];

  it("lists services", async () => {
    const all = await admin.json("compute service list");
    const computes = all.filter((each: Json) => each.Binary === "nova-compute");
    assert.deepEqual(computes.map((each: Json) => each.Host).sort(), ["host-1", "host-2", "host-3", "host-4"]);
    assert.ok(computes.every((each: Json) => each.Zone === "nova" && each.Status === "enabled" && each.State === "up"));
    const others = all.filter((each: Json) => each.Binary !== "nova-compute");
    assert.deepEqual(others.map((each: Json) => each.Binary).sort(), ["nova-conductor", "nova-scheduler"]);
    assert.ok(others.every((each: Json) => each.Zone === "internal"));
    assert.match((await cloud.manager.try("compute service list")).stderr, /403/);
  });

  it("disables with a reason, schedules nothing there, enables", async () => {
    await admin.openstack("compute service set --disable --disable-reason 'bad fan' host-4 nova-compute");
    const disabled = await service("host-4");
    assert.deepEqual([disabled.Status, disabled.State, disabled["Disabled Reason"]], ["disabled", "up", "bad fan"]);
    const booted = await Promise.all(Array.from({ length: 4 }, () => servers.boot({ networks: "none" })));
    assert.ok(booted.every((server) => server[HOST] !== "host-4"));
    const [first] = booted;
    await admin.openstack(`server migrate --host host-4 ${first.id}`);
    await servers.migrated(first.id, "error");
    assert.equal((await servers.idle(first.id)).status, "ACTIVE");
    await admin.openstack("compute service set --enable host-4 nova-compute");
    const enabled = await service("host-4");
    assert.deepEqual([enabled.Status, enabled["Disabled Reason"]], ["enabled", null]);
    await admin.openstack(`server delete ${booted.map(({ id }) => id).join(" ")}`);
  });

  it("shows hypervisors and their load", async () => {
    const server = await servers.boot({ host: "host-2" });
    const listed = await admin.json("hypervisor list");
    const two = listed.find((each: Json) => each["Hypervisor Hostname"] === "host-2");
    assert.deepEqual([two.State, two["Hypervisor Type"]], ["up", "fake"]);
    const shown = await admin.json(`hypervisor show ${two.ID}`);
    assert.equal(shown.hypervisor_hostname, "host-2");
    assert.equal(shown.service_host, "host-2");
    const old = await admin.json("hypervisor show host-2", "2.1");
    assert.equal(old.running_vms, 1);
    assert.equal(old.memory_mb_used, 128);
    const stats = await admin.json("hypervisor stats show", "2.1");
    assert.equal(stats.count, 4);
    assert.ok(stats.running_vms >= 1);
    assert.deepEqual((await admin.json("hypervisor list --matching host-2")).length, 1);
    assert.match((await cloud.member.try("hypervisor list")).stderr, /403/);
    await admin.openstack(`server delete --wait ${server.id}`);
  });

  it("evacuates from a host that is marked down, cleans up when it returns", async () => {
    const server = await servers.boot({ host: "host-1" });
    const early = await admin.try(`server evacuate ${server.id}`);
    assert.match(early.stderr, /400/);
    cloud.simulation.fleet.partition("host-1");
    await admin.openstack("compute service set --down host-1 nova-compute");
    const down = await service("host-1");
    assert.deepEqual([down.State, down["Forced Down"]], ["down", true]);
    assert.equal((await servers.show(server.id)).host_status, "DOWN");
    assert.match((await admin.try(`server migrate ${server.id}`)).stderr, /409/);
    // This client asks for the right thing, and then stumbles over showing the server in versions without a password.
    await admin.try(`server evacuate ${server.id}`);
    const done = await servers.migrated(server.id, "done");
    const moved = await servers.settled(server.id, "ACTIVE");
    assert.deepEqual(
      [done.migration_type, done.source_compute, done.dest_compute],
      ["evacuation", "host-1", moved[HOST]],
    );
    assert.notEqual(moved[HOST], "host-1");
    assert.deepEqual(await servers.eventNames(server.id, "evacuate"), ["rebuild_server", "compute_rebuild_instance"]);
    const blocked = await admin.try("compute service set --up host-1 nova-compute");
    assert.match(blocked.stderr, /400|Failed/);
    cloud.simulation.fleet.heal("host-1");
    await cloud.simulation.fleet.restart("host-1");
    await servers.migrated(server.id, "completed");
    await admin.openstack("compute service set --up host-1 nova-compute");
    await until(
      "up",
      () => service("host-1"),
      ({ State }) => State === "up",
    );
    assert.equal(cloud.simulation.world.host("host-1")?.guests.has(server.id), false);
    assert.deepEqual(cloud.simulation.world.violations, []);
    await admin.openstack(`server delete ${server.id}`);
  });

  it("evacuates to a given host and leaves it stopped from 2.95 on", async () => {
    const server = await servers.boot({ host: "host-2" });
    await admin.openstack("compute service set --down host-2 nova-compute");
    const body = { evacuate: { host: "host-4" } };
    assert.equal((await admin.act(server.id, { evacuate: { host: "host-2" } }, "2.95")).status, 400);
    assert.equal((await admin.act(server.id, { evacuate: { host: "nowhere" } }, "2.95")).status, 404);
    assert.equal((await cloud.manager.act(server.id, body, "2.95")).status, 404, "of another project");
    const answer = await admin.act(server.id, body, "2.95");
    assert.deepEqual([answer.status, answer.body], [200, undefined]);
    const moved = await servers.settled(server.id, "SHUTOFF");
    assert.equal(moved[HOST], "host-4");
    await admin.openstack(`server delete ${server.id}`);
  });

  it("deletes the service of a host that is gone, never of one in use", async () => {
    const server = await servers.boot({ host: "host-3" });
    const { ID } = await service("host-3");
    assert.match((await admin.try(`compute service delete ${ID}`)).stderr, /409|failed/i);
    await admin.openstack(`server delete --wait ${server.id}`);
    await cloud.simulation.fleet.stop("host-3");
    await admin.openstack(`compute service delete ${ID}`);
    assert.equal(await service("host-3"), undefined);
    assert.ok((await admin.json("hypervisor list")).every((each: Json) => each["Hypervisor Hostname"] !== "host-3"));
  });

  it("manages flavors, quotas, zones and keys", async () => {
    await admin.openstack("flavor create --id odd --ram 256 --vcpus 2 --disk 3 --property hw:x=y odd");
    const flavor = await admin.json("flavor show odd");
    assert.deepEqual([flavor.ram, flavor.vcpus, flavor.disk, flavor.properties], [256, 2, 3, { "hw:x": "y" }]);
    assert.ok((await cloud.member.json("flavor list")).some((each: Json) => each.Name === "odd"));
    assert.match((await cloud.member.try("flavor delete odd")).stderr, /403/);
    await admin.openstack("flavor unset --property hw:x odd");
    await admin.openstack("flavor delete odd");
    assert.match((await admin.try("flavor show odd")).stderr, /No.*odd|not found/i);
    await admin.openstack("quota set --instances 1 --cores 7 other");
    const quota = await admin.json("quota show --compute other").catch(() => admin.json("quota show other"));
    const limits = Array.isArray(quota)
      ? Object.fromEntries(quota.map((each: Json) => [each.Resource, each.Limit]))
      : quota;
    assert.deepEqual([limits.instances, limits.cores], [1, 7]);
    await servers.boot({ networks: "none" }, cloud.stranger);
    const over = await cloud.stranger.try("server create --image pileus-guest --flavor m1.tiny --nic none two");
    assert.match(over.stderr, /Quota exceeded.*403/s);
    const [zone] = await cloud.member.json("availability zone list --compute");
    assert.deepEqual([zone["Zone Name"], zone["Zone Status"]], ["nova", "available"]);
    await cloud.member.openstack("keypair create pair", "2.1");
    assert.deepEqual(
      (await cloud.member.json("keypair list")).map((each: Json) => each.Name),
      ["pair"],
    );
    assert.match(await cloud.member.openstack("keypair show --public-key pair"), /^ssh-/);
    await cloud.member.openstack("keypair delete pair");
    assert.deepEqual(await cloud.member.json("keypair list"), []);
    const used = await cloud.stranger.json("limits show --absolute");
    assert.equal(
      used.find((each: Json) => each.Name === "total_instances_used" || each.Name === "totalInstancesUsed")?.Value,
      1,
    );
  });
});
