import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { announceService } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { allocate } from "../store/allocations.ts";
import { findHost } from "../store/hosts.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { TINY } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

onBothStores("services and availability zones", (open) => {
  let world: ComputeWorld;
  let one: ServiceRow;
  before(async () => {
    world = await computeWorld(open);
    one = await world.givenHost("host-1");
    await world.givenHost("host-2");
    for (const binary of ["nova-conductor", "cinder-volume", "nova-api"])
      await world.store.tx((t) =>
        announceService(t, world.deps.kernel, {
          host: "control",
          binary,
          service: null,
          cluster: null,
          facts: {},
          zone: "internal",
        }),
      );
  });
  after(() => world.close());

  const put = (path: string, version: string, body: unknown) =>
    world.ask("admin", "PUT", `/os-services/${path}`, { version, body });
  const listed = async (query = "", version = "2.53") =>
    (await world.ask("admin", "GET", `/os-services${query}`, { version })).body.services;

  for (const [version, folder] of [
    ["2.1", ""],
    ["2.11", "v2.11/"],
    ["2.53", "v2.53/"],
  ] as const) {
    it(`lists as published at ${version}`, async () => {
      const list = await world.ask("admin", "GET", "/os-services", { version });
      sameShape(list.body, sample(`os-services/${folder}services-list-get-resp`));
    });
  }

  it("lists the processes of Compute only, with exact filters", async () => {
    const services = await listed();
    const names = services.map((service: { binary: string; zone: string }) => [service.binary, service.zone]);
    assert.deepEqual(names, [
      ["nova-compute", "nova"],
      ["nova-compute", "nova"],
      ["nova-conductor", "internal"],
    ]);
    assert.equal((await listed("?host=host-2&binary=nova-compute")).length, 1);
    assert.equal((await listed("?host=host")).length, 0);
    assert.equal((await world.ask("admin", "GET", "/os-services?x=1", { version: "2.74" })).status, 200);
    assert.equal((await world.ask("admin", "GET", "/os-services?x=1", { version: "2.75" })).status, 400);
    assert.equal((await world.ask("reader", "GET", "/os-services")).status, 403);
  });

  it("is changed by host and binary up to 2.52", async () => {
    const body = { host: "host-1", binary: "nova-compute" };
    const disabled = await put("disable", "2.1", body);
    assert.deepEqual([disabled.status, disabled.body], [200, { service: { ...body, status: "disabled" } }]);
    const reasoned = await put("disable-log-reason", "2.52", { ...body, disabled_reason: "disk" });
    sameShape(reasoned.body, sample("os-services/service-disable-log-put-resp"));
    assert.equal((await listed("?host=host-1"))[0].disabled_reason, "disk");
    assert.deepEqual((await put("enable", "2.1", body)).body, { service: { ...body, status: "enabled" } });
    const forced = await put("force-down", "2.11", { ...body, forced_down: true });
    sameShape(forced.body, sample("os-services/v2.11/service-force-down-put-resp"));
    assert.equal((await listed("?host=host-1"))[0].state, "down");
    assert.equal((await put("force-down", "2.11", { ...body, forced_down: "false" })).status, 200);
    const [service] = await listed("?host=host-1");
    assert.deepEqual([service.state, service.disabled_reason, service.forced_down], ["up", null, false]);
  });

  it("refuses bad changes by host", async () => {
    const body = { host: "host-1", binary: "nova-compute" };
    assert.equal((await put("disable-log-reason", "2.1", body)).status, 400);
    assert.equal((await put("force-down", "2.11", body)).status, 400);
    assert.equal((await put("force-down", "2.10", body)).status, 404);
    assert.equal((await put("force-down", "2.10", { ...body, forced_down: true })).status, 404);
    assert.equal((await put("force-down", "2.1", { ...body, forced_down: "yes" })).status, 404);
    assert.equal((await put("explode", "2.11", body)).status, 404);
    assert.equal((await put("enable", "2.1", { ...body, host: "nowhere" })).status, 404);
    assert.equal((await put("enable", "2.1", { host: "control", binary: "nova-conductor" })).status, 400);
    assert.equal((await put("enable", "2.1", { ...body, forced_down: true })).status, 400);
    assert.equal((await put("enable", "2.53", body)).status, 400);
  });

  it("is changed by uuid since 2.53", async () => {
    const disabled = await put(one.uuid, "2.53", { status: "disabled", disabled_reason: "disk" });
    assert.equal(disabled.status, 200);
    sameShape(disabled.body, sample("os-services/v2.53/service-disable-log-put-resp"));
    assert.deepEqual([disabled.body.service.status, disabled.body.service.state], ["disabled", "up"]);
    assert.equal((await put(one.uuid, "2.53", { status: "disabled" })).body.service.disabled_reason, null);
    assert.equal((await put(one.uuid, "2.53", { forced_down: true })).body.service.state, "down");
    const back = await put(one.uuid, "2.53", { status: "enabled", forced_down: false });
    assert.deepEqual([back.body.service.status, back.body.service.state], ["enabled", "up"]);
    assert.equal((await put(one.uuid, "2.53", { status: "enabled" })).status, 200);
    for (const bad of [{}, { disabled_reason: "x" }, { status: "enabled", disabled_reason: "x" }, { status: "off" }])
      assert.equal((await put(one.uuid, "2.53", bad)).status, 400);
    assert.equal((await put("1", "2.53", { status: "enabled" })).status, 400);
    assert.equal((await put(world.ids.uuid(), "2.53", { status: "enabled" })).status, 404);
    const conductor = (await listed("?binary=nova-conductor"))[0];
    assert.equal((await put(conductor.id, "2.53", { status: "disabled" })).status, 400);
    assert.equal(
      (await world.ask("manager", "PUT", `/os-services/${one.uuid}`, { version: "2.53", body: {} })).status,
      403,
    );
  });

  it("stays forced down while evacuations from it are not cleaned up", async () => {
    const host = await world.givenHost("host-evacuated");
    const server = await world.givenServer({ host: "host-2" });
    await world.givenMigration({
      server_id: server.id,
      type: "evacuation",
      status: "done",
      source_host: "host-evacuated",
    });
    assert.equal((await put(host.uuid, "2.53", { forced_down: true })).status, 200);
    assert.equal((await put(host.uuid, "2.53", { forced_down: false })).status, 400);
    const byHost = { host: "host-evacuated", binary: "nova-compute", forced_down: false };
    assert.equal((await put("force-down", "2.52", byHost)).status, 400);
    assert.equal((await world.ask("admin", "DELETE", `/os-services/${host.uuid}`, { version: "2.53" })).status, 204);
  });

  it("goes down when it is not heard", async () => {
    const host = await world.givenHost("host-silent");
    world.clock.advance(60_000);
    assert.equal((await listed("?host=host-silent"))[0].state, "up");
    world.clock.advance(1);
    assert.equal((await listed("?host=host-silent"))[0].state, "down");
    for (const { uuid } of [one, host]) await world.givenService(uuid, { last_seen: world.clock.now() });
  });

  it("is deleted with its host, unless something depends on it", async () => {
    const host = await world.givenHost("host-old");
    const remove = (id: string | number, version: string) =>
      world.ask("admin", "DELETE", `/os-services/${id}`, { version });
    const server = await world.givenServer({ host: "host-old" });
    assert.equal((await remove(host.uuid, "2.53")).status, 409);
    assert.ok(await findHost(world.store.read, "host-old"));

    const arriving = await world.givenServer({ host: null, vm_state: "building" });
    const moved = await world.givenHost("host-arriving");
    const room = { serverId: arriving.id, host: "host-arriving", flavor: TINY, ratios: null };
    await world.store.tx((t) => allocate(t, world.clock, room));
    assert.equal((await remove(moved.uuid, "2.53")).status, 409);

    for (const status of ["finished", "running"] as const) {
      const busy = await world.givenHost(`host-${status}`);
      await world.givenMigration({ server_id: server.id, status, dest_host: `host-${status}` });
      assert.equal((await remove(busy.number, "2.52")).status, 409);
    }
    const free = await world.givenHost("host-free");
    await world.givenMigration({ server_id: server.id, status: "confirmed", dest_host: "host-free" });
    assert.equal((await remove(free.uuid, "2.52")).status, 400);
    assert.equal((await remove(free.number, "2.53")).status, 400);
    assert.equal((await remove(free.number, "2.52")).status, 204);
    assert.equal(await findHost(world.store.read, "host-free"), undefined);
    assert.equal((await remove(free.uuid, "2.53")).status, 404);
    assert.equal((await remove(free.number, "2.1")).status, 404);
  });

  it("shows availability zones", async () => {
    const list = await world.ask("reader", "GET", "/os-availability-zone");
    assert.deepEqual(list.body, sample("os-availability-zone/availability-zone-list-resp"));
    const detail = await world.ask("admin", "GET", "/os-availability-zone/detail");
    const [internal, nova] = detail.body.availabilityZoneInfo;
    assert.deepEqual([internal.zoneName, nova.zoneName], ["internal", "nova"]);
    const compute = nova.hosts["host-1"]["nova-compute"];
    assert.deepEqual([compute.active, compute.available, typeof compute.updated_at], [true, true, "string"]);
    assert.deepEqual(Object.keys(internal.hosts), ["control"]);
    assert.equal((await world.ask("reader", "GET", "/os-availability-zone/detail")).status, 403);
    assert.deepEqual((await world.ask("admin", "GET", "/os-aggregates")).body, { aggregates: [] });
  });
});
