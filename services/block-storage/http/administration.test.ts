import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { announceService } from "../../../kernel/fleet/services.ts";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { operation } from "../../../kernel/operations/definition.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { getVolume } from "../store/volumes.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

const SHARED = "pileus@shared";
/** A request that does not wait for a lock has read what it reckons with by then. */
const READS = 100;

const grow = operation<null>("volume.grow", { resource: "volume", deadlineMs: 60_000 })
  .step("act", { effect: async () => {} })
  .build();

onBothStores("pools, hosts, zones, workers", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenScheduler("server");
    await announce("host-1@shared", "host-2@shared", "host-3@fast");
  });
  after(() => world.close());

  async function announce(...hosts: string[]): Promise<void> {
    for (const host of hosts) {
      const shared = host.endsWith("@shared");
      await world.givenBackend(host, {
        ...(shared ? { cluster: SHARED } : {}),
        facts: { totalGiB: shared ? 100 : 50, freeGiB: 20, replicationEnabled: !shared },
      });
    }
  }
  const get = (path: string, version = "3.71") => world.ask("admin", "GET", path, { version });
  const pools = async (query = "", version = "3.71"): Promise<string[]> =>
    (await get(`/scheduler-stats/get_pools${query}`, version)).body.pools.map((pool: { name: string }) => pool.name);

  it("lists the pools that can be chosen, of a cluster once", async () => {
    assert.deepEqual(await pools(), [`${SHARED}#shared`, "host-3@fast#fast"]);
    assert.deepEqual(await pools("?name=host-3@fast%23fast"), ["host-3@fast#fast"]);
    assert.equal((await pools("?name=nowhere", "3.27")).length, 2);
    assert.equal((await get("/scheduler-stats/get_pools?nonsense=1", "3.31")).status, 400);
    assert.equal((await get("/scheduler-stats/get_pools?nonsense=1", "3.30")).status, 200);
    assert.equal((await get("/scheduler-stats/get_pools?detail=maybe")).status, 400);
    assert.deepEqual((await get("/scheduler-stats/get_pools")).body.pools[0], { name: `${SHARED}#shared` });
    const { body } = await get("/scheduler-stats/get_pools?detail=True");
    const { capabilities } = body.pools[1];
    assert.deepEqual(
      [capabilities.volume_backend_name, capabilities.total_capacity_gb, capabilities.backend_state],
      ["fast", 50, "up"],
    );
    const shown = (await get("/capabilities/host-3@fast")).body;
    sameShape({ ...shown, properties: {} }, { ...(sample("backend-capabilities-response") as object), properties: {} });
    for (const key of ["vendor_name", "driver_version", "storage_protocol", "volume_backend_name", "pool_name"])
      assert.equal(shown[key], capabilities[key]);
    assert.equal((await get("/capabilities/nowhere@x")).body.itemNotFound.code, 404);
  });

  it("filters pools by what a type asks for", async () => {
    await world.store.tx(async (t) => {
      const type = { id: "t", description: null, is_public: 1, qos_specs_id: null, created_at: 0, updated_at: null };
      const extra_specs = JSON.stringify({ replication_enabled: "<is> True" });
      await t
        .tables<BlockStorageTables>()
        .insertInto("volume_types")
        .values({ ...type, name: "mirrored", extra_specs })
        .execute();
    });
    assert.deepEqual(await pools("?volume_type=mirrored"), ["host-3@fast#fast"]);
    assert.equal((await pools("?volume_type=__DEFAULT__")).length, 2);
    assert.equal((await get("/scheduler-stats/get_pools?volume_type=nonsense")).status, 404);
    assert.equal((await get("/scheduler-stats/get_pools?volume_type=mirrored", "3.34")).status, 400);
  });

  it("has no pools of what is disabled, frozen or silent; a member's own flag does not matter", async () => {
    const put = (path: string, body: unknown) => world.ask("admin", "PUT", path, { body, version: "3.26" });
    await put("/os-services/disable", { host: "host-1@shared", binary: "cinder-volume" });
    assert.equal((await pools()).length, 2);
    await put("/clusters/disable", { name: SHARED });
    assert.deepEqual(await pools(), ["host-3@fast#fast"]);
    await put("/os-services/freeze", { host: "host-3@fast" });
    assert.deepEqual(await pools(), []);
    await put("/os-services/thaw", { host: "host-3@fast" });
    await put("/clusters/enable", { name: SHARED });
    await put("/os-services/enable", { host: "host-1@shared", binary: "cinder-volume" });
    world.clock.advance(61_000);
    await announce("host-2@shared");
    assert.deepEqual(await pools(), [`${SHARED}#shared`]);
    await announce("host-1@shared", "host-3@fast");
    await world.givenScheduler("server");
  });

  it("sums hosts by project", async () => {
    sameShape((await get("/os-hosts")).body, sample("hosts-list-response"));
    assert.equal((await get("/os-hosts?zone=nova")).body.hosts.length, 4);
    const one = await world.givenVolume({ host: "host-3@fast#fast", size_gib: 3 });
    await world.givenVolume({ host: "host-3@fast#fast", size_gib: 4, project_id: OTHER_PROJECT });
    await world.givenVolume({ host: "host-3@fast#fast", size_gib: 4, deleted_at: 1 });
    await world.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(snapshotRow(one)).execute(),
    );
    for (const host of ["host-3", "host-3@fast"]) {
      const { body } = await get(`/os-hosts/${host}`);
      sameShape(body, sample("hosts-get-response"));
      const sums = body.host.map(({ resource }: { resource: Record<string, string> }) => [
        resource.project,
        resource.volume_count,
        resource.total_volume_gb,
        resource.snapshot_count,
        resource.total_snapshot_gb,
      ]);
      assert.deepEqual(sums, [
        ["(total)", "2", "7", "1", "3"],
        [PROJECT, "1", "3", "1", "3"],
        [OTHER_PROJECT, "1", "4", "0", "0"],
      ]);
    }
    assert.equal((await get("/os-hosts/host")).status, 404);
  });

  it("tells zones, extensions and filters to everybody", async () => {
    const { body } = await world.ask("reader", "GET", "/os-availability-zone");
    assert.deepEqual(body, sample("availability-zone-list-response"));
    assert.ok((await world.ask("reader", "GET", "/extensions")).body.extensions.length > 10);
    assert.equal((await world.ask("reader", "GET", "/extensions/os-services")).body.extension.alias, "os-services");
    assert.equal((await world.ask("reader", "GET", "/extensions/nonsense")).status, 404);
    const filters = await world.ask("reader", "GET", "/resource_filters?resource=pool", { version: "3.33" });
    assert.deepEqual(filters.body, { resource_filters: [{ resource: "pool", filters: ["name", "volume_type"] }] });
    assert.equal((await world.ask("reader", "GET", "/resource_filters", { version: "3.32" })).status, 404);
  });

  it("hands the work of the dead to the living, and says who has none", async () => {
    const clean = async (body: unknown = {}) => {
      const answer = await world.ask("admin", "POST", "/workers/cleanup", { body, version: "3.24" });
      assert.equal(answer.status, 202);
      const hosts = (list: { host: string }[]) => list.map((entry) => entry.host);
      return [hosts(answer.body.cleaning), hosts(answer.body.unavailable)];
    };
    assert.deepEqual(await clean(), [[], []]);
    assert.deepEqual(await clean({ is_up: "yes", binary: "cinder-volume" }), [
      ["host-1@shared", "host-2@shared", "host-3@fast"],
      [],
    ]);
    world.clock.advance(61_000);
    await announce("host-2@shared");
    const shared = await world.givenVolume({ host: "host-1@shared#shared", cluster_name: `${SHARED}#shared` });
    const alone = await world.givenVolume({ host: "host-3@fast#fast" });
    const later = world.clock.now() + 60_000;
    const db = () => world.store.read.tables<OperationTables & FleetTables>();
    await world.store.tx(async (t) => {
      for (const { id } of [shared, alone]) {
        const operationId = await world.deps.kernel.operations.start(t, grow, { input: null, resourceId: id });
        const t2 = t.tables<OperationTables & FleetTables>();
        await t2.updateTable("operations").set({ run_at: later }).where("id", "=", operationId).execute();
      }
    });
    assert.deepEqual(await clean(), [["server", "host-1@shared"], ["host-3@fast"]]);
    const due = await db()
      .selectFrom("operations")
      .select(["resource_id", "run_at"])
      .where("name", "=", grow.name)
      .execute();
    assert.equal(due.find((row) => row.resource_id === shared.id)?.run_at, world.clock.now());
    assert.equal(due.find((row) => row.resource_id === alone.id)?.run_at, later);
    assert.deepEqual(await clean({ cluster_name: SHARED }), [["host-1@shared"], []]);
    assert.deepEqual(await clean({ host: "host-3" }), [[], ["host-3@fast"]]);
    assert.deepEqual(await clean({ resource_id: shared.id, resource_type: "VOLUME" }), [["host-1@shared"], []]);
    const record = await db()
      .selectFrom("services")
      .selectAll()
      .where("host", "=", "host-3@fast")
      .executeTakeFirstOrThrow();
    assert.deepEqual(await clean({ service_id: record.number }), [[], ["host-3@fast"]]);
    assert.deepEqual(await clean({ service_id: String(record.number), disabled: "f" }), [[], ["host-3@fast"]]);
    assert.deepEqual(await clean({ disabled: true }), [[], []]);
    const whole = await world.ask("admin", "POST", "/workers/cleanup", {
      body: { cluster_name: SHARED },
      version: "3.24",
    });
    sameShape(whole.body, sample("worker-cleanup-response"));
  });

  it("passes over work that a runner takes up, or ends, just then", async () => {
    for (const state of ["running", "done"] as const) {
      const { id } = await world.givenVolume({ host: "host-1@shared#shared", cluster_name: `${SHARED}#shared` });
      const start = { input: null, resourceId: id };
      const operationId = await world.store.tx((t) => world.deps.kernel.operations.start(t, grow, start));
      const { asking } = await world.store.tx(async (t) => {
        const db = t.tables<OperationTables>();
        await db.updateTable("operations").set({ state }).where("id", "=", operationId).execute();
        const body = { resource_id: id, resource_type: "volume", cluster_name: SHARED };
        const pending = world.ask("admin", "POST", "/workers/cleanup", { body, version: "3.24" });
        for (let n = 0; n < READS; n += 1) await getVolume(world.store.read, id);
        return { asking: pending };
      });
      assert.equal((await asking).status, 202);
      const db = world.store.read.tables<OperationTables>();
      const row = await db.selectFrom("operations").select("state").where("id", "=", operationId).executeTakeFirst();
      assert.equal(row?.state, state);
    }
  });

  it("refuses cleanups that it does not understand", async () => {
    const status = async (body: unknown, version = "3.24") =>
      (await world.ask("admin", "POST", "/workers/cleanup", { body, version })).status;
    for (const body of [
      { "is-up": true },
      { is_up: null },
      { is_up: 1 },
      { binary: null },
      { binary: "cinder-backup" },
      { resource_type: "group" },
      { resource_id: "x" },
      { host: "" },
      { resource_id: "b122f668-d15a-40f8-af21-38d218796ab8" },
    ])
      assert.equal(await status(body), 400, JSON.stringify(body));
    assert.equal(await status(sample("worker-cleanup-request")), 202);
    assert.equal(await status({}, "3.23"), 404);
    assert.equal((await world.ask("manager", "POST", "/workers/cleanup", { body: {}, version: "3.24" })).status, 403);
  });

  it("takes cleanups as the newer official clients send them: by PUT, with null for what was not asked", async () => {
    const nothing = { cluster_name: null, host: null, binary: null, service_id: null, is_up: null, disabled: null };
    const put = (asked: object) =>
      world.ask("admin", "PUT", "/workers/cleanup", {
        body: { ...nothing, resource_id: null, resource_type: null, ...asked },
        version: "3.24",
      });
    const posted = await world.ask("admin", "POST", "/workers/cleanup", { body: {}, version: "3.24" });
    assert.deepEqual(await put({}).then(({ status, body }) => [status, body]), [202, posted.body]);
    const { body } = await put({ is_up: true, binary: "cinder-volume" });
    assert.deepEqual(
      body.cleaning.map((entry: { host: string }) => entry.host),
      ["host-2@shared"],
    );
    assert.equal((await put({ is_up: 1 })).status, 400);
  });

  it("a host that joins a cluster brings its volumes along", async () => {
    const volume = await world.givenVolume({ host: "host-9@late#late" });
    await world.givenBackend("host-9@late");
    const other = {
      host: "host-9",
      binary: "cinder-volume",
      service: "block-storage",
      backend: "later",
      cluster: null,
    };
    await world.store.tx((t) => announceService(t, world.deps.kernel, { ...other, facts: {}, zone: "nova" }));
    await world.givenBackend("host-9@late", { cluster: "pileus@late" });
    assert.equal((await world.volume(volume.id)).cluster_name, "pileus@late#late");
  });
});
