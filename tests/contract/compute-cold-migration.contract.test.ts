import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, type Json, until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const HOST = "OS-EXT-SRV-ATTR:host";
const MIGRATE_EVENTS = [
  "conductor_migrate_server",
  "cold_migrate",
  "compute_prep_resize",
  "compute_resize_instance",
  "compute_finish_resize",
];

describe("cold migration and resize, as the openstack client sees them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
    servers = new CloudServers(admin);
  });
  after(() => cloud.dispose());

  it("migrates to the scheduler's host, waits, confirms", async () => {
    const server = await servers.boot();
    await admin.openstack(`server migrate --wait ${server.id}`);
    const moved = await servers.show(server.id);
    assert.equal(moved.status, "VERIFY_RESIZE");
    assert.equal(moved["OS-EXT-STS:vm_state"], "resized");
    assert.notEqual(moved[HOST], server[HOST]);
    assert.notEqual(moved.hostId, server.hostId);
    const [record, ...older] = await admin.json(`server migration list --server ${server.id}`);
    assert.deepEqual(older, []);
    assert.deepEqual(
      [record.Status, record.Type, record["Source Compute"], record["Dest Compute"], record["Server UUID"]],
      ["finished", "migration", server[HOST], moved[HOST], server.id],
    );
    assert.deepEqual(await servers.eventNames(server.id, "migrate"), MIGRATE_EVENTS);
    await admin.openstack(`server migration confirm ${server.id}`);
    const confirmed = await servers.settled(server.id, "ACTIVE");
    assert.equal(confirmed[HOST], moved[HOST]);
    assert.equal((await servers.migrated(server.id, "confirmed")).dest_compute, moved[HOST]);
    assert.deepEqual(await servers.eventNames(server.id, "confirmResize"), ["compute_confirm_resize"]);
    assert.deepEqual([...(cloud.simulation.world.host(server[HOST])?.guests.keys() ?? [])], []);
    await admin.openstack(`server delete --wait ${server.id}`);
  });

  it("migrates to a given host and reverts", async () => {
    const server = await servers.boot({ host: "host-1" });
    await admin.openstack(`server migrate --host host-3 ${server.id}`);
    const moved = await servers.settled(server.id, "VERIFY_RESIZE");
    assert.equal(moved[HOST], "host-3");
    await admin.openstack(`server migration revert ${server.id}`);
    const reverted = await servers.settled(server.id, "ACTIVE");
    assert.equal(reverted[HOST], "host-1");
    assert.equal(reverted["OS-EXT-STS:power_state"], 1);
    await servers.migrated(server.id, "reverted");
    assert.deepEqual(await servers.eventNames(server.id, "revertResize"), [
      "compute_revert_resize",
      "compute_finish_revert_resize",
    ]);
  });

  it("keeps a stopped server stopped", async () => {
    const server = await servers.boot({}, member);
    await member.openstack(`server stop ${server.id}`);
    await servers.settled(server.id, "SHUTOFF");
    await admin.openstack(`server migrate ${server.id}`);
    const moved = await servers.settled(server.id, "VERIFY_RESIZE");
    assert.equal(moved["OS-EXT-STS:power_state"], 4);
    await member.openstack(`server resize revert ${server.id}`);
    const reverted = await servers.settled(server.id, "SHUTOFF");
    assert.equal(reverted[HOST], server[HOST]);
  });

  it("resizes, confirms and reverts as the project's member", async () => {
    const server = await servers.boot({}, member);
    await member.openstack(`server resize --flavor m1.small --wait ${server.id}`);
    const resized = await member.json(`server show ${server.id}`);
    assert.deepEqual([resized.status, resized.flavor.original_name], ["VERIFY_RESIZE", "m1.small"]);
    await member.openstack(`server resize revert ${server.id}`);
    assert.equal((await servers.settled(server.id, "ACTIVE")).flavor.original_name, "m1.tiny");
    await member.openstack(`server resize --flavor m1.small ${server.id}`);
    const again = await servers.settled(server.id, "VERIFY_RESIZE");
    await member.openstack(`server resize confirm ${server.id}`);
    const confirmed = await servers.settled(server.id, "ACTIVE");
    assert.deepEqual([confirmed.flavor.original_name, confirmed[HOST]], ["m1.small", again[HOST]]);
    const guest = cloud.simulation.world.host(confirmed[HOST])?.guests.get(server.id);
    assert.equal(guest?.ramMiB, confirmed.flavor.ram);
    const { events } = await servers.action(server.id, "resize");
    assert.ok(events.every((event: Json) => event.result === "Success"));
    assert.deepEqual(
      (await servers.migrations(server.id)).map((each) => [each.migration_type, each.status]),
      [
        ["resize", "confirmed"],
        ["resize", "reverted"],
      ],
    );
  });

  it("migrates to another host when the first fails, and stays when all do", async () => {
    const server = await servers.boot({ host: "host-1" });
    const { faults } = cloud.simulation.world;
    const { CloudError } = await import("../../kernel/errors/cloud-error.ts");
    const broken = new CloudError("unavailable", "compute.host_broken", "The host is broken.");
    const once = faults.add({ verb: "compute.probe", times: 1, fault: { type: "fail", error: broken } });
    await admin.openstack(`server migrate ${server.id}`);
    await servers.settled(server.id, "VERIFY_RESIZE");
    assert.equal(once.hits, 1);
    once.remove();
    const prepared = (await servers.eventNames(server.id, "migrate")).filter((name) => name === "compute_prep_resize");
    assert.equal(prepared.length, 2, "an attempt each");
    await admin.openstack(`server migration revert ${server.id}`);
    await servers.settled(server.id, "ACTIVE");
    const always = faults.add({ verb: "compute.probe", times: 100, fault: { type: "fail", error: broken } });
    await admin.openstack(`server migrate ${server.id}`);
    const stayed = await servers.idle(server.id);
    always.remove();
    assert.deepEqual([stayed.status, stayed[HOST]], ["ACTIVE", "host-1"]);
    await servers.migrated(server.id, "error");
    assert.equal((await servers.action(server.id, "migrate")).message, "Error");
  });

  it("forgets a migration when the server's state is reset, and lets the server be deleted", async () => {
    const server = await servers.boot();
    await admin.openstack(`server migrate ${server.id}`);
    await servers.settled(server.id, "VERIFY_RESIZE");
    await admin.openstack(`server set --state active ${server.id}`);
    assert.equal((await servers.show(server.id)).status, "ACTIVE");
    const refused = await admin.try(`server migration confirm ${server.id}`);
    assert.match(refused.stderr, /409/);
    await admin.openstack(`server delete --wait ${server.id}`);
    const gone = () => Promise.resolve(cloud.simulation.world.leftovers());
    await until("clean", gone, (left) => !left.guests.some((guest) => guest.serverId === server.id));
  });

  it("deletes a server that waits for its confirm", async () => {
    const server = await servers.boot();
    await admin.openstack(`server migrate ${server.id}`);
    await servers.settled(server.id, "VERIFY_RESIZE");
    await admin.openstack(`server delete ${server.id}`);
    await until(
      "deleted",
      () => admin.ask("GET", `/servers/${server.id}`),
      ({ status }) => status === 404,
    );
    await servers.migrated(server.id, "confirmed");
    const left = cloud.simulation.world.leftovers();
    assert.deepEqual(
      left.disks.filter((disk) => disk.serverId === server.id),
      [],
    );
  });

  it("lists migrations by type, status, host and pages", async () => {
    const all = await admin.json("server migration list");
    assert.ok(all.length >= 6);
    const times = all.map((each: Json) => each["Created At"]);
    assert.deepEqual(times, times.toSorted().toReversed(), "newest first");
    const count = async (options: string) => (await admin.json(`server migration list ${options}`)).length;
    const of = (key: string, value: string) => all.filter((each: Json) => each[key] === value).length;
    assert.equal(await count("--type resize"), of("Type", "resize"));
    assert.equal(await count("--type cold-migration"), of("Type", "migration"));
    assert.equal(await count("--type live-migration"), 0);
    assert.equal(await count("--status reverted"), of("Status", "reverted"));
    const touching = all.filter((each: Json) => [each["Source Compute"], each["Dest Compute"]].includes("host-3"));
    assert.equal(await count("--host host-3"), touching.length);
    const [first, second] = await admin.json("server migration list --limit 2");
    assert.deepEqual([first.UUID, second.UUID], [all[0].UUID, all[1].UUID]);
    const [third] = await admin.json(`server migration list --limit 1 --marker ${second.UUID}`);
    assert.equal(third.UUID, all[2].UUID);
    assert.equal((await count(`--changes-since ${all[0]["Created At"]}`)) >= 1, true);
    assert.equal(await count("--changes-before 2020-01-01T00:00:00Z"), 0);
    const own = await admin.json("server migration list --project lab");
    assert.ok(own.every((each: Json) => each.Project === member.projectId));
  });
});

describe("automatic confirm", { skip: clientsMissing }, () => {
  it("confirms after resize_confirm_window", async () => {
    const cloud = await simulatedCloud({ compute: { resizeConfirmWindowMs: 200 } });
    try {
      const servers = new CloudServers(cloud.admin);
      const server = await servers.boot();
      await cloud.admin.openstack(`server migrate ${server.id}`);
      await servers.migrated(server.id, "confirmed");
      const confirmed = await servers.settled(server.id, "ACTIVE");
      assert.notEqual(confirmed[HOST], server[HOST]);
    } finally {
      await cloud.dispose();
    }
  });
});
