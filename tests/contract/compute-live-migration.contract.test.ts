import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, type Json, until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const HOST = "OS-EXT-SRV-ATTR:host";
const LIVE_EVENTS = [
  "conductor_live_migrate_instance",
  "compute_check_can_live_migrate_destination",
  "compute_check_can_live_migrate_source",
  "compute_pre_live_migration",
  "compute_live_migration",
  "compute_post_live_migration_at_destination",
];

describe("live migration, as the openstack client sees it", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let manager: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, manager } = cloud);
    servers = new CloudServers(admin);
  });
  after(() => cloud.dispose());

  /** A server whose live migration is running and does not end by itself. */
  async function migratingServer(owner = admin): Promise<{ server: Json; record: Json }> {
    const server = await servers.boot({}, owner);
    cloud.simulation.world.setDirtiesMemory(server.id, true);
    await owner.openstack(`server migrate --live-migration ${server.id}`);
    return { server, record: await servers.migrated(server.id, "running") };
  }

  it("moves to the scheduler's host and waits", async () => {
    const server = await servers.boot();
    await admin.openstack(`server migrate --live-migration --wait ${server.id}`, "2.30");
    const moved = await servers.show(server.id);
    assert.equal(moved.status, "ACTIVE");
    assert.notEqual(moved[HOST], server[HOST]);
    assert.equal(moved["OS-SRV-USG:launched_at"], server["OS-SRV-USG:launched_at"], "the guest kept running");
    const record = await servers.migrated(server.id, "completed");
    assert.deepEqual(
      [record.migration_type, record.source_compute, record.dest_compute],
      ["live-migration", server[HOST], moved[HOST]],
    );
    const events = await servers.eventNames(server.id, "live-migration");
    assert.deepEqual(events.toSorted(), LIVE_EVENTS.toSorted());
  });

  for (const [flags, storage] of [
    ["--block-migration", "local"],
    ["", "local"],
  ] as const) {
    it(`moves to a given host and back ${flags}`, async () => {
      const server = await servers.boot({ host: "host-1" });
      assert.equal(cloud.simulation.world.host("host-1")?.guests.get(server.id)?.spec.rootDisk?.storage, storage);
      for (const host of ["host-2", "host-1"]) {
        await admin.openstack(`server migrate --live-migration --host ${host} ${flags} ${server.id}`);
        await until(
          `on ${host}`,
          () => servers.show(server.id),
          (now) => now[HOST] === host && now.status === "ACTIVE",
        );
        await servers.migrated(server.id, "completed");
      }
      assert.equal((await servers.migrations(server.id)).length, 2);
    });
  }

  it("refuses shared migration of a server with a local disk", async () => {
    const server = await servers.boot({ host: "host-1" });
    await admin.openstack(`server migrate --live-migration --shared-migration ${server.id}`);
    await servers.migrated(server.id, "error");
    const stayed = await servers.idle(server.id);
    assert.deepEqual([stayed.status, stayed[HOST]], ["ACTIVE", "host-1"]);
    const { message, events } = await servers.action(server.id, "live-migration");
    assert.equal(message, "Error");
    assert.ok(events.some((event: Json) => event.result === "Error"));
  });

  it("keeps a paused server paused", async () => {
    const server = await servers.boot();
    await admin.openstack(`server pause ${server.id}`);
    await servers.settled(server.id, "PAUSED");
    await admin.openstack(`server migrate --live-migration ${server.id}`);
    await servers.migrated(server.id, "completed");
    const moved = await servers.settled(server.id, "PAUSED");
    assert.notEqual(moved[HOST], server[HOST]);
    assert.equal(cloud.simulation.world.host(moved[HOST])?.guests.get(server.id)?.power, "paused");
  });

  it("shows what is in progress, and aborts it", async () => {
    const { server, record } = await migratingServer();
    assert.equal((await servers.show(server.id)).status, "MIGRATING");
    assert.deepEqual(
      (await admin.json("server list --status MIGRATING")).map((each: Json) => each.ID),
      [server.id],
    );
    const shown = await admin.json(`server migration show ${server.id} ${record.id}`);
    assert.deepEqual(
      [shown.ID, shown.UUID, shown["Server UUID"], shown.Status, shown["Source Compute"], shown["Dest Compute"]],
      [record.id, record.uuid, server.id, "running", server[HOST], record.dest_compute],
    );
    assert.ok(shown["Memory Total Bytes"] > 0);
    assert.ok(shown["Disk Total Bytes"] > 0);
    assert.equal(
      shown["Memory Processed Bytes"] + shown["Memory Remaining Bytes"] >= shown["Memory Total Bytes"] - 1,
      true,
    );
    const byUuid = await admin.json(`server migration show ${server.id} ${record.uuid}`);
    // All but how far it has come in the meantime.
    assert.deepEqual([byUuid.ID, Object.keys(byUuid)], [shown.ID, Object.keys(shown)]);
    await admin.openstack(`server migration abort ${server.id} ${record.id}`);
    await servers.migrated(server.id, "cancelled");
    const stayed = await servers.idle(server.id);
    assert.deepEqual([stayed.status, stayed[HOST], stayed.progress], ["ACTIVE", server[HOST], 0]);
    assert.deepEqual(await servers.eventNames(server.id, "live_migration_cancel"), ["compute_live_migration_abort"]);
    const gone = await admin.try(`server migration show ${server.id} ${record.id}`);
    assert.match(gone.stderr, /404/);
    const again = await admin.try(`server migration abort ${server.id} ${record.id}`);
    assert.notEqual(again.code, 0);
  });

  it("forces completion by number and by uuid", async () => {
    for (const key of ["id", "uuid"]) {
      const { server, record } = await migratingServer();
      await admin.openstack(`server migration force complete ${server.id} ${record[key]}`);
      const done = await servers.migrated(server.id, "completed");
      const moved = await servers.settled(server.id, "ACTIVE");
      assert.equal(moved[HOST], done.dest_compute);
      assert.deepEqual(await servers.eventNames(server.id, "live_migration_force_complete"), [
        "compute_live_migration_force_complete",
      ]);
    }
  });

  it("queues behind the limit of a host, and aborts what is queued", async () => {
    const first = await servers.boot({ host: "host-1" });
    const second = await servers.boot({ host: "host-1" });
    cloud.simulation.world.setDirtiesMemory(first.id, true);
    await admin.openstack(`server migrate --live-migration ${first.id}`);
    const running = await servers.migrated(first.id, "running");
    await admin.openstack(`server migrate --live-migration ${second.id}`);
    const queued = await servers.migrated(second.id, "queued");
    const inProgress = await admin.ask("GET", `/servers/${second.id}/migrations`, { version: "2.80" });
    assert.deepEqual(
      inProgress.body.migrations.map((each: Json) => each.status),
      ["queued"],
    );
    const early = await admin.ask("DELETE", `/servers/${second.id}/migrations/${queued.id}`, { version: "2.64" });
    assert.equal(early.status, 400, "before 2.65 only running migrations were abortable");
    await admin.openstack(`server migration abort ${second.id} ${queued.id}`);
    await servers.migrated(second.id, "cancelled");
    assert.equal((await servers.idle(second.id))[HOST], "host-1");
    await admin.openstack(`server migration abort ${first.id} ${running.id}`);
    await servers.migrated(first.id, "cancelled");
  });

  it("serves a project's manager, who sees no hosts", async () => {
    const { server, record } = await migratingServer(manager);
    const path = `/servers/${server.id}/migrations`;
    const listed = await manager.ask("GET", path, { version: "2.80" });
    const [inProgress] = listed.body.migrations;
    assert.deepEqual([inProgress.id, inProgress.source_compute, inProgress.dest_compute], [record.id, null, null]);
    const own = await manager.json(`server migration list --type live-migration --project ${manager.projectId}`);
    const mine = own.find((each: Json) => each["Server UUID"] === server.id);
    assert.deepEqual([mine.UUID, mine["Source Compute"], mine.Project], [record.uuid, null, manager.projectId]);
    assert.match((await manager.try("server migration list")).stderr, /403/);
    assert.match((await manager.try(`server migration show ${server.id} ${record.id}`)).stderr, /403/);
    const byUuid = { version: "2.80", body: { force_complete: null } };
    assert.equal((await manager.ask("POST", `${path}/${record.uuid}/action`, byUuid)).status, 400);
    const wrong = { version: "2.80", body: { force_complete: "null" } };
    assert.equal((await manager.ask("POST", `${path}/${record.id}/action`, wrong)).status, 400);
    await manager.openstack(`server migration force complete ${server.id} ${record.id}`);
    await servers.migrated(server.id, "completed");
    const chosen = await manager.try(`server migrate --live-migration --host host-1 ${server.id}`);
    assert.match(chosen.stderr, /403/);
  });

  it("fences a migration when the state is reset", async () => {
    const { server } = await migratingServer();
    await admin.openstack(`server set --state active ${server.id}`);
    const reset = await servers.show(server.id);
    assert.deepEqual([reset.status, reset["OS-EXT-STS:task_state"], reset[HOST]], ["ACTIVE", null, server[HOST]]);
    const path = `/operations?resource_id=${server.id}`;
    const { body } = await admin.ask("GET", path, { root: "/v1" });
    const found = body.operations.find((each: Json) => each.name === "server.live_migrate");
    assert.equal(found.state, "abandoned");
    cloud.simulation.world.setDirtiesMemory(server.id, false);
    await admin.openstack(`server stop ${server.id}`);
    await servers.settled(server.id, "SHUTOFF");
  });
});
