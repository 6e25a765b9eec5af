import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

describe("volumes", () => {
  let world: BlockStorageWorld;
  let dispose: () => Promise<void>;
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenBackend("host-1@shared");
    const quota_set = { volumes: -1, gigabytes: 10_000 };
    await world.ask("admin", "PUT", `/os-quota-sets/${PROJECT}`, { body: { quota_set } });
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const ask = (who: Person, method: string, path: string, body?: unknown, version = "3.71") =>
    world.ask(who, method, path, { version, ...(body === undefined ? {} : { body }) });
  const create = (volume: unknown, version?: string, who: Person = "member") =>
    ask(who, "POST", "/volumes", { volume }, version);
  const act = (id: string, body: unknown, who: Person = "member") => ask(who, "POST", `/volumes/${id}/action`, body);
  const operations = async (id: string): Promise<string[]> => {
    const rows = await world.store.read
      .tables<OperationTables>()
      .selectFrom("operations")
      .select(["name", "state"])
      .where("resource_id", "=", id)
      .orderBy("created_at")
      .execute();
    return rows.map((row) => `${row.name} ${row.state}`);
  };
  const givenSnapshot = async (volume: Parameters<typeof snapshotRow>[0]) =>
    await world.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(snapshotRow(volume)).execute(),
    );

  it("look as published at every version", async () => {
    const request = sample("volumes/volume-create-request");
    for (const version of ["3.0", "3.13", "3.21", "3.48", "3.61", "3.63", "3.65", "3.69"]) {
      const folder = version === "3.0" ? "" : `v${version}/`;
      const made = await ask("admin", "POST", "/volumes", request, version);
      assert.equal(made.status, 202, JSON.stringify(made.body));
      sameShape(made.body, sample(`volumes/${folder}volume-create-response`), `create ${version}`);
      const path = `/volumes/${made.body.volume.id}`;
      sameShape(
        (await ask("admin", "GET", path, undefined, version)).body,
        sample(`volumes/${folder}volume-show-response`),
      );
      const detail = await ask("admin", "GET", "/volumes/detail?limit=1", undefined, version);
      const { volumes } = detail.body;
      sameShape({ volumes }, sample(`volumes/${folder}volumes-list-detailed-response`), `detail ${version}`);
      const updated = await ask("admin", "PUT", path, { volume: { name: " b " } }, version);
      assert.equal(updated.body.volume.name, "b");
      sameShape(
        { volume: { ...updated.body.volume, metadata: {} } },
        {
          volume: { ...(sample(`volumes/${folder}volume-update-response`) as { volume: object }).volume, metadata: {} },
        },
      );
    }
    const { volumes } = (await ask("admin", "GET", "/volumes?limit=1")).body;
    sameShape({ volumes }, sample("volumes/volumes-list-response"));
  });

  it("is accepted as creating, with an operation, and shown to its project", async () => {
    const { status, body } = await create({ size: "2", name: "  data ", metadata: { a: "b" } });
    assert.equal(status, 202);
    const { id, name, metadata, size, volume_type, bootable } = body.volume;
    assert.deepEqual([name, metadata, size, volume_type, bootable], ["data", { a: "b" }, 2, "__DEFAULT__", "false"]);
    assert.deepEqual(await operations(id), ["volume.create ready"]);
    assert.equal((await ask("reader", "GET", `/volumes/${id}`)).body.volume.status, "creating");
    const shown = (await ask("member", "GET", `/volumes/${id}`)).body.volume;
    assert.equal(shown["os-vol-tenant-attr:tenant_id"], PROJECT);
    for (const key of ["os-vol-host-attr:host", "migration_status", "provider_id", "cluster_name"])
      assert.ok(!(key in shown), key);
    assert.equal((await ask("stranger", "GET", `/volumes/${id}`)).status, 404);
    assert.equal((await ask("reader", "GET", "/volumes/nowhere")).body.itemNotFound.code, 404);
  });

  it("refuses what cannot be made", async () => {
    const none = "00000000-0000-4000-8000-000000000000";
    for (const volume of [
      {},
      { size: 0 },
      { size: -1 },
      { size: "x" },
      { size: 1.5 },
      { size: 1, name: "x".repeat(256) },
      { size: 1, metadata: { k: "x".repeat(256) } },
      { size: 1, availability_zone: "moon" },
      { size: 1, imageRef: none },
      { size: 1, imageRef: "no id" },
      { size: 1, snapshot_id: none, source_volid: none },
      { size: 1, multiattach: true },
      { size: 1, group_id: none },
    ])
      assert.equal((await create(volume)).status, 400, JSON.stringify(volume));
    for (const volume of [
      { size: 1, volume_type: "no such type" },
      { size: 1, snapshot_id: none },
      { size: 1, source_volid: none },
    ])
      assert.equal((await create(volume)).status, 404, JSON.stringify(volume));
    assert.equal((await create({ size: 1, colour: "red" }, "3.52")).status, 202);
    assert.equal((await create({ size: 1, colour: "red" }, "3.53")).status, 400);
    assert.equal((await create({ size: 1 }, "3.0", "reader")).status, 403);
  });

  it("holds the quota of volumes, of gigabytes and of each", async () => {
    const path = `/os-quota-sets/${OTHER_PROJECT}`;
    const set = (quota_set: unknown) => ask("admin", "PUT", path, { quota_set });
    const size = async (gib: number) => (await create({ size: gib }, "3.0", "stranger")).status;
    await set({ volumes: 2, gigabytes: 10, per_volume_gigabytes: 8 });
    assert.deepEqual([await size(9), await size(8), await size(3)], [413, 202, 413]);
    const over = await create({ size: 3 }, "3.0", "stranger");
    assert.equal(over.body.overLimit.code, 413);
    assert.deepEqual([await size(2), await size(1)], [202, 413]);
    await set({ volumes: -1, gigabytes: -1, volumes___DEFAULT__: 2 });
    assert.equal(await size(1), 413);
  });

  it("copies take size, type, zone and image facts from their source", async () => {
    const image_metadata = JSON.stringify({ image_id: "i", disk_format: "raw" });
    const source = await world.givenVolume({ size_gib: 4, bootable: 1, image_metadata });
    const { status, body } = await create({ source_volid: source.id });
    assert.equal(status, 202);
    const { size, bootable, source_volid, volume_image_metadata: facts } = body.volume;
    assert.deepEqual([size, bootable, source_volid, facts.disk_format], [4, "true", source.id, "raw"]);
    assert.equal((await create({ source_volid: source.id, size: 3 })).status, 400);
    await givenSnapshot(source);
    const restored = (await create({ snapshot_id: source.id, size: 5 })).body.volume;
    assert.deepEqual([restored.size, restored.snapshot_id, restored.source_volid], [5, source.id, null]);
    const busy = await world.givenVolume({ status: "error" });
    assert.equal((await create({ source_volid: busy.id })).status, 400);
  });

  it("lists by filters, order and pages, each one query", async () => {
    const metadata = JSON.stringify({ kind: "listed" });
    const type = { metadata, user_id: "user-other" };
    const [a, b, c] = [
      await world.givenVolume({ ...type, name: "alpha", size_gib: 3, created_at: 1, bootable: 1 }),
      await world.givenVolume({ ...type, name: "beta", size_gib: 1, created_at: 2, status: "error" }),
      await world.givenVolume({ ...type, name: "gamma", size_gib: 2, created_at: 3, host: "host-2@x#x" }),
    ];
    const other = await world.givenVolume({ ...type, name: "alpha", created_at: 4, project_id: OTHER_PROJECT });
    const listed = async (query: string, who: Person = "member", version?: string): Promise<string[]> => {
      const filter = `metadata={'kind':'listed'}&${query}`;
      const { status, body } = await ask(who, "GET", `/volumes?${filter}`, undefined, version);
      assert.equal(status, 200, JSON.stringify(body));
      return body.volumes.map((volume: { id: string }) => volume.id);
    };
    assert.deepEqual(await listed(""), [c.id, b.id, a.id]);
    assert.deepEqual(await listed("sort=size:asc"), [b.id, c.id, a.id]);
    assert.deepEqual(await listed("sort_key=name&sort_dir=asc&limit=2&offset=1"), [b.id, c.id]);
    assert.deepEqual(await listed(`marker=${c.id}`), [b.id, a.id]);
    assert.deepEqual(await listed("name=alpha"), [a.id]);
    assert.deepEqual(await listed("status=error"), [b.id]);
    assert.deepEqual(await listed("bootable=true"), [a.id]);
    assert.deepEqual(await listed("name~=AMM", "member", "3.34"), [c.id]);
    assert.deepEqual(await listed("size=2"), [c.id]);
    assert.deepEqual(await listed("host=host-2@x%23x"), [c.id, b.id, a.id]);
    assert.deepEqual(await listed("host=host-2@x%23x", "admin"), [c.id]);
    assert.deepEqual(await listed("all_tenants=1"), [c.id, b.id, a.id]);
    assert.deepEqual(await listed("all_tenants=1", "admin"), [other.id, c.id, b.id, a.id]);
    assert.deepEqual(await listed(`all_tenants=1&project_id=${OTHER_PROJECT}`, "admin"), [other.id]);
    assert.deepEqual(await listed("limit=0"), []);
    const page = (await ask("member", "GET", "/volumes/detail?limit=2&with_count=true&metadata={'kind':'listed'}"))
      .body;
    assert.deepEqual([page.count, page.volumes.length, page.volumes_links[0].rel], [3, 2, "next"]);
    const next = new URL(page.volumes_links[0].href);
    const last = (await ask("member", "GET", `/volumes/detail${next.search}`)).body;
    assert.deepEqual(
      [last.volumes.map((volume: { id: string }) => volume.id), last.volumes_links],
      [[a.id], undefined],
    );
    const plain = (await ask("stranger", "GET", "/volumes?limit=1")).body;
    const after = new URL(plain.volumes_links[0].href).search;
    assert.notEqual((await ask("stranger", "GET", `/volumes${after}`)).body.volumes[0].id, plain.volumes[0].id);
    for (const query of ["colour=red", "sort=colour", "bootable=maybe", "size=x", "metadata=x", "limit=-1"])
      assert.equal((await ask("member", "GET", `/volumes?${query}`)).status, 400, query);
    assert.equal((await ask("member", "GET", "/volumes?colour=red", undefined, "3.30")).status, 200);
    assert.equal((await ask("member", "GET", `/volumes?marker=${other.id}`)).status, 404);
  });

  it("are summed up", async () => {
    const { body } = await ask("member", "GET", "/volumes/summary");
    const { total_count, metadata } = body["volume-summary"];
    assert.ok(total_count > 3);
    assert.deepEqual(metadata.kind, ["listed"]);
    assert.deepEqual(Object.keys(body["volume-summary"]), ["total_size", "total_count", "metadata"]);
    const older = await ask("member", "GET", "/volumes/summary", undefined, "3.35");
    assert.ok(!("metadata" in older.body["volume-summary"]));
    assert.equal((await ask("member", "GET", "/volumes/summary", undefined, "3.11")).status, 404);
  });

  it("keeps metadata", async () => {
    const { id } = await world.givenVolume();
    const path = `/volumes/${id}/metadata`;
    const first = await ask("member", "POST", path, sample("volumes/volume-metadata-create-request"));
    sameShape(first.body, sample("volumes/volume-metadata-create-response"));
    const one = await ask("member", "PUT", `${path}/name`, sample("volumes/volume-metadata-update-key-request"));
    assert.deepEqual(one.body, sample("volumes/volume-metadata-update-key-response"));
    assert.deepEqual((await ask("reader", "GET", `${path}/name`)).body, { meta: { name: "new_name" } });
    assert.deepEqual((await ask("member", "PUT", path, { metadata: { x: "y" } })).body, { metadata: { x: "y" } });
    assert.deepEqual((await ask("reader", "GET", path)).body, { metadata: { x: "y" } });
    assert.equal((await ask("member", "DELETE", `${path}/x`)).status, 200);
    assert.equal((await ask("member", "DELETE", `${path}/x`)).status, 404);
    assert.equal((await ask("member", "PUT", `${path}/x`, { meta: { other: "y" } })).status, 400);
    assert.equal((await ask("reader", "POST", path, { metadata: {} })).status, 403);
  });

  it("is deleted when nothing hinders it", async () => {
    const { id } = await world.givenVolume();
    assert.equal((await ask("reader", "DELETE", `/volumes/${id}`)).status, 403);
    assert.equal((await ask("member", "DELETE", `/volumes/${id}`)).status, 202);
    assert.equal((await ask("member", "GET", `/volumes/${id}`)).body.volume.status, "deleting");
    assert.deepEqual(await operations(id), ["volume.delete ready"]);
    const nowhere = await world.givenVolume({ status: "error", host: null });
    assert.equal((await ask("member", "DELETE", `/volumes/${nowhere.id}`)).status, 202);
    assert.equal((await ask("member", "GET", `/volumes/${nowhere.id}`)).status, 404);
    for (const volume of [
      { status: "creating" as const },
      { status: "in-use" as const, attach_status: "attached" as const },
      { attach_status: "attached" as const },
      { migration_status: "migrating" as const },
      { group_id: "g" },
    ]) {
      const row = await world.givenVolume(volume);
      assert.equal((await ask("member", "DELETE", `/volumes/${row.id}`)).status, 400, JSON.stringify(volume));
    }
    const snapped = await world.givenVolume();
    await givenSnapshot(snapped);
    assert.equal((await ask("member", "DELETE", `/volumes/${snapped.id}`)).status, 400);
    assert.equal((await ask("member", "DELETE", `/volumes/${snapped.id}?cascade=True`)).status, 202);
  });

  it("is deleted by force in any status, but not from a frozen backend", async () => {
    for (const status of ["creating", "attaching", "error", "maintenance"] as const) {
      const { id } = (await create({ size: 1 })).body.volume;
      await act(id, { "os-reset_status": { status } }, "admin");
      assert.equal((await act(id, { "os-force_delete": {} })).status, 403);
      assert.equal((await act(id, { "os-force_delete": {} }, "admin")).status, 202);
      assert.equal((await ask("admin", "GET", `/volumes/${id}`)).status, 404);
      assert.deepEqual(await operations(id), ["volume.create abandoned"]);
    }
    const { id } = await world.givenVolume({ status: "creating" });
    assert.equal((await ask("admin", "DELETE", `/volumes/${id}?force=true`, undefined, "3.22")).status, 400);
    await ask("admin", "PUT", "/os-services/freeze", { host: "host-1@shared" });
    assert.equal((await ask("admin", "DELETE", `/volumes/${id}?force=true`)).status, 400);
    assert.equal((await act(id, { "os-force_delete": {} }, "admin")).status, 400);
    await ask("admin", "PUT", "/os-services/thaw", { host: "host-1@shared" });
    assert.equal((await ask("member", "DELETE", `/volumes/${id}?force=true`)).status, 403);
    assert.equal((await ask("admin", "DELETE", `/volumes/${id}?force=true`)).status, 202);
  });

  it("is extended within the quota", async () => {
    const { id } = await world.givenVolume({ size_gib: 2 });
    for (const new_size of [2, 1, 0, "x", 100_000])
      assert.equal((await act(id, { "os-extend": { new_size } })).status, new_size === 100_000 ? 413 : 400);
    assert.equal((await act(id, { "os-extend": { new_size: 3 } }, "reader")).status, 403);
    assert.equal((await act(id, { "os-extend": { new_size: "3" } })).status, 202);
    assert.deepEqual([(await world.volume(id)).status, await operations(id)], ["extending", ["volume.extend ready"]]);
    assert.equal((await act(id, { "os-extend": { new_size: 4 } })).status, 400);
    // What an extension under way will add is taken already.
    const other = await world.givenVolume({ size_gib: 1, project_id: OTHER_PROJECT });
    const quota_set = { volumes: -1, volumes___DEFAULT__: -1, gigabytes: 20, per_volume_gigabytes: -1 };
    await ask("admin", "PUT", `/os-quota-sets/${OTHER_PROJECT}`, { quota_set });
    const used = (await ask("admin", "GET", `/os-quota-sets/${OTHER_PROJECT}?usage=1`)).body.quota_set.gigabytes.in_use;
    const most = 1 + 20 - used;
    assert.equal((await act(other.id, { "os-extend": { new_size: most } }, "stranger")).status, 202);
    assert.equal((await create({ size: 1 }, "3.0", "stranger")).status, 413);
  });

  it("has its status reset, which ends what is under way", async () => {
    const { id } = (await create({ size: 1 })).body.volume;
    const reset = (body: unknown, who: Person = "admin") => act(id, { "os-reset_status": body }, who);
    for (const body of [
      {},
      { status: "deleting" },
      { status: "x" },
      { status: "in-use" },
      { attach_status: "x" },
      { x: 1 },
    ])
      assert.equal((await reset(body)).status, 400, JSON.stringify(body));
    assert.equal((await reset({ status: "error" }, "member")).status, 403);
    assert.equal(
      (await reset({ status: "ERROR", migration_status: "migrating", attach_status: "attached" })).status,
      202,
    );
    const { status, migration_status, attach_status } = await world.volume(id);
    assert.deepEqual([status, migration_status, attach_status], ["error", "migrating", "attached"]);
    assert.deepEqual(await operations(id), ["volume.create abandoned"]);
    assert.equal((await reset({ migration_status: "none", attach_status: "detached" })).status, 202);
    assert.equal((await world.volume(id)).migration_status, null);
    assert.equal((await act("nowhere", { "os-reset_status": { status: "error" } })).status, 404);
  });

  it("can be made bootable and keep facts of an image", async () => {
    const { id } = await world.givenVolume();
    const shown = async () => (await ask("member", "GET", `/volumes/${id}`)).body.volume;
    assert.equal((await act(id, { "os-set_bootable": { bootable: "True" } })).status, 200);
    const set = await act(id, { "os-set_image_metadata": { metadata: { os_type: "linux", a: "b" } } });
    assert.deepEqual(set.body, { metadata: { os_type: "linux", a: "b" } });
    assert.equal((await act(id, { "os-unset_image_metadata": { key: "a" } })).status, 200);
    assert.equal((await act(id, { "os-unset_image_metadata": { key: "a" } })).status, 400);
    assert.deepEqual((await act(id, { "os-show_image_metadata": {} })).body, { metadata: { os_type: "linux" } });
    const { bootable, volume_image_metadata: facts } = await shown();
    assert.deepEqual([bootable, facts], ["true", { os_type: "linux" }]);
    assert.equal((await act(id, { "os-what": {} })).status, 400);
  });
});
