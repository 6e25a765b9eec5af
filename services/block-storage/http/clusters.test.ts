import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { sample } from "../testing/samples.ts";

const SHARED = "pileus@shared";

onBothStores("clusters", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenBackend("host-1@shared", { cluster: SHARED });
    await world.givenBackend("host-2@shared", { cluster: SHARED });
    world.clock.advance(1);
    await world.givenBackend("host-3@other", { cluster: "pileus@other", facts: { replicationEnabled: true } });
    await world.givenBackend("host-4@alone");
  });
  after(() => world.close());

  interface Cluster {
    readonly [field: string]: unknown;
  }
  const get = (path: string, version = "3.71") => world.ask("admin", "GET", path, { version });
  const list = async (query = "", version = "3.71"): Promise<Cluster[]> =>
    (await get(`/clusters${query}`, version)).body.clusters;
  const names = async (query: string) => (await list(query)).map((cluster) => cluster.name);
  const put = (path: string, body: unknown, version = "3.7") =>
    world.ask("admin", "PUT", `/clusters/${path}`, { body, version });
  const show = async (name: string, version = "3.71"): Promise<Cluster> =>
    (await get(`/clusters/${encodeURIComponent(name)}`, version)).body.cluster;

  it("looks as published at 3.7, with replication since 3.26", async () => {
    sameShape({ clusters: await list("", "3.7") }, sample("clusters/v3.7/clusters-list-response"));
    sameShape((await get("/clusters/detail", "3.25")).body, sample("clusters/v3.7/clusters-list-detailed-response"));
    sameShape((await get("/clusters/pileus", "3.7")).body, sample("clusters/v3.7/cluster-show-response"));
    assert.equal((await get("/clusters", "3.6")).body.itemNotFound.code, 404);
    const newest = await show("pileus@other");
    assert.deepEqual(
      [newest.replication_status, newest.frozen, newest.active_backend_id, newest.num_hosts, newest.updated_at],
      ["enabled", false, null, 1, newest.updated_at],
    );
    assert.equal((await list())[0]?.replication_status, "disabled");
  });

  it("filters by every documented key, and refuses others by name", async () => {
    assert.deepEqual(await names("?name=pileus"), [SHARED, "pileus@other"]);
    assert.deepEqual(await names("?name=pil"), []);
    assert.deepEqual(await names("?num_hosts=2"), [SHARED]);
    assert.deepEqual(await names("?num_down_hosts=1"), []);
    assert.deepEqual(await names("?replication_status=enabled"), ["pileus@other"]);
    assert.deepEqual(await names("?frozen=true"), []);
    assert.deepEqual(await names("?is_up=yes&disabled=0&binary=cinder-volume"), [SHARED, "pileus@other"]);
    assert.deepEqual(await names("?binary=cinder-backup"), []);
    assert.equal((await get("/clusters?is_up=maybe")).status, 400);
    assert.match((await get("/clusters?nonsense=1")).body.badRequest.message, /nonsense/);
    assert.equal((await get("/clusters?frozen=true", "3.25")).status, 400);
    assert.equal((await get("/clusters/nowhere")).body.itemNotFound.code, 404);
  });

  it("counts its members by their heartbeats; one that lives is enough", async () => {
    world.clock.advance(61_000);
    await world.givenBackend("host-2@shared", { cluster: SHARED });
    const cluster = await show(SHARED);
    assert.deepEqual([cluster.state, cluster.num_hosts, cluster.num_down_hosts], ["up", 2, 1]);
    assert.equal((await show("pileus@other")).state, "down");
    await world.givenBackend("host-1@shared", { cluster: SHARED });
    await world.givenBackend("host-3@other", { cluster: "pileus@other", facts: { replicationEnabled: true } });
  });

  it("is disabled and enabled apart from its members", async () => {
    const disabled = await put("disable", { name: SHARED, disabled_reason: " maintenance " });
    assert.equal(disabled.status, 200);
    sameShape(disabled.body, sample("clusters/v3.7/cluster-disable-response"));
    assert.equal(disabled.body.cluster.disabled_reason, "maintenance");
    assert.equal((await show(SHARED)).status, "disabled");
    const { body } = await world.ask("admin", "GET", "/os-services?host=host-1", { version: "3.49" });
    assert.deepEqual([body.services[0].status, body.services[0].backend_state], ["enabled", null]);
    assert.equal((await put("disable", { name: "pileus" })).body.cluster.disabled_reason, null);
    const enabled = await put("enable", { name: SHARED, binary: "cinder-volume" });
    sameShape(enabled.body, sample("clusters/v3.7/cluster-enable-response"));
    assert.deepEqual([enabled.body.cluster.status, enabled.body.cluster.disabled_reason], ["enabled", null]);
    for (const body of [{}, { name: " " }, { name: SHARED, disabled_reason: "x" }, { name: SHARED, more: 1 }])
      assert.equal((await put("enable", body)).status, 400);
    assert.equal((await put("enable", { name: "nowhere" })).status, 404);
    assert.equal((await put("enable", { name: SHARED, binary: "cinder-backup" })).status, 404);
    assert.equal((await put("nonsense", { name: SHARED })).status, 404);
    assert.equal((await world.ask("member", "GET", "/clusters", { version: "3.7" })).status, 403);
  });
});
