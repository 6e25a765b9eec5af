import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { sample } from "../testing/samples.ts";

onBothStores("os-services", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenScheduler("server");
    await world.givenBackend("host-1@shared", { cluster: "pileus@shared" });
    await world.givenBackend("host-1@local");
    await world.givenBackend("host-10@local", { facts: { replicationEnabled: true } });
  });
  after(() => world.close());

  interface Service {
    readonly [field: string]: unknown;
  }
  const list = async (query = "", version = "3.71"): Promise<Service[]> =>
    (await world.ask("admin", "GET", `/os-services${query}`, { version })).body.services;
  const hosts = async (query: string) => (await list(query)).map((service) => service.host);
  const put = (path: string, body: unknown, version = "3.0") =>
    world.ask("admin", "PUT", `/os-services/${path}`, { body, version });
  const found = async (host: string): Promise<Service> => (await list(`?host=${host}`))[0] ?? {};

  it("lists as published at each microversion", async () => {
    const [scheduler, clustered] = (sample("os-services/v3.49/services-list-response") as { services: Service[] })
      .services;
    const newest = await list();
    sameShape(newest[0], scheduler);
    sameShape(newest[1], clustered);
    const older = await list("", "3.48");
    assert.ok(older.every((service) => !("backend_state" in service) && "cluster" in service));
    const oldest = await list("", "3.6");
    assert.ok(oldest.every((service) => !("cluster" in service)));
    assert.deepEqual(Object.keys(oldest[0] ?? {}).toSorted(), [
      "binary",
      "disabled_reason",
      "host",
      "state",
      "status",
      "updated_at",
      "zone",
    ]);
    assert.deepEqual(
      newest.map((service) => [service.host, service.zone, service.cluster, service.replication_status]),
      [
        ["server", "nova", null, undefined],
        ["host-1@shared", "nova", "pileus@shared", "disabled"],
        ["host-1@local", "nova", null, "disabled"],
        ["host-10@local", "nova", null, "enabled"],
      ],
    );
  });

  it("filters by whole parts of the host, by binary, and by nothing else", async () => {
    assert.deepEqual(await hosts("?host=host-1"), ["host-1@shared", "host-1@local"]);
    assert.deepEqual(await hosts("?host=host-1@local"), ["host-1@local"]);
    assert.deepEqual(await hosts("?host=host"), []);
    assert.deepEqual(await hosts("?binary=cinder-scheduler"), ["server"]);
    assert.equal((await list("?binary=cinder-volume&host=host-10&nonsense=1")).length, 1);
  });

  it("says what backends can take, as long as the scheduler may choose them", async () => {
    assert.equal((await found("host-1@local")).backend_state, "up");
    await world.givenBackend("host-1@local", { facts: { backendState: "down" }, started: false });
    assert.equal((await found("host-1@local")).backend_state, "down");
    await put("disable", { host: "host-1@local", binary: "cinder-volume" });
    assert.equal((await found("host-1@local")).backend_state, null);
    await put("enable", { host: "host-1@local", binary: "cinder-volume" });
    await world.givenBackend("host-1@local", { started: false });
  });

  it("goes down when it is not heard, disabled or not", async () => {
    world.clock.advance(61_000);
    await world.givenBackend("host-10@local");
    assert.deepEqual(
      (await list()).map((service) => service.state),
      ["down", "down", "down", "up"],
    );
    await world.givenScheduler("server");
    await world.givenBackend("host-1@shared", { cluster: "pileus@shared" });
    await world.givenBackend("host-1@local");
  });

  it("disables and enables the first that matches, as often as one likes", async () => {
    const target = { host: "host-1@local", binary: "cinder-volume" };
    for (let i = 0; i < 2; i += 1) {
      const { status, body } = await put("disable", target);
      assert.equal(status, 200);
      assert.deepEqual(body, { ...target, service: "", status: "disabled", disabled: true });
    }
    const reasoned = await put("disable-log-reason", { ...target, disabled_reason: "disk swap" });
    assert.deepEqual(reasoned.body, {
      ...target,
      service: "",
      status: "disabled",
      disabled: true,
      disabled_reason: "disk swap",
    });
    sameShape(reasoned.body, sample("os-services/service-disable-log-reason-response"));
    const state = await found("host-1@local");
    assert.deepEqual([state.status, state.disabled_reason, state.state], ["disabled", "disk swap", "up"]);
    await put("disable", target);
    assert.equal((await found("host-1@local")).disabled_reason, "disk swap");
    const { binary, host } = target;
    const enabled = await put("enable", { service: binary, host, cluster: "ignored" });
    const answer = { host, service: binary, binary: "", status: "enabled", disabled: false };
    assert.deepEqual(enabled.body, { ...answer, disabled_reason: null });
    sameShape((await put("enable", target)).body, sample("services-enable-response"));
    assert.deepEqual((await found("host-1@local")).disabled_reason, null);
    assert.equal((await put("disable", { host: "server", binary: "cinder-scheduler" })).status, 200);
    assert.equal((await put("enable", { host: "server", binary: "cinder-scheduler" })).status, 200);
  });

  it("refuses what names no service, and reasons that say nothing", async () => {
    const target = { host: "host-1@local", binary: "cinder-volume" };
    for (const body of [
      { binary: "cinder-volume" },
      { host: null, binary: "cinder-volume" },
      { host: "", binary: "cinder-volume" },
      { host: "host-1@local" },
      { ...target, disabled_reason: "x" },
      { ...target, more: 1 },
      { ...target, host: "a b" },
    ])
      assert.equal((await put("disable", body)).status, 400, JSON.stringify(body));
    for (const disabled_reason of [null, "", "  ", "x".repeat(256)])
      assert.equal((await put("disable-log-reason", { ...target, disabled_reason })).status, 400);
    assert.equal((await put("enable", { host: "nowhere", binary: "cinder-volume" })).body.itemNotFound.code, 404);
    assert.equal((await put("disable", { host: "host-1", binary: "cinder-backup" })).status, 404);
    assert.equal((await put("disable", { host: "host", binary: "cinder-volume" })).status, 404);
    assert.equal((await put("nonsense", target)).status, 404);
    assert.equal((await world.ask("manager", "PUT", "/os-services/disable", { body: target })).status, 403);
  });
});
