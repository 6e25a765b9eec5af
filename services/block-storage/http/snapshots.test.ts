import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { SnapshotRow } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

describe("snapshots", () => {
  let world: BlockStorageWorld;
  let dispose: () => Promise<void>;
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenBackend("host-1@shared");
    await ask("admin", "PUT", `/os-quota-sets/${PROJECT}`, { quota_set: { snapshots: -1 } });
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const ask = (who: Person, method: string, path: string, body?: unknown, version = "3.71") =>
    world.ask(who, method, path, { version, ...(body === undefined ? {} : { body }) });
  const create = (snapshot: Record<string, unknown>, version?: string, who: Person = "member") =>
    ask(who, "POST", "/snapshots", { snapshot }, version);
  const given = async (volume: Parameters<BlockStorageWorld["givenVolume"]>[0] = {}): Promise<SnapshotRow> => {
    const { id } = await world.givenVolume(volume);
    world.clock.advance(1000);
    return (await create({ volume_id: id, name: "given" })).body.snapshot;
  };
  const reset = (id: string, status: string) =>
    ask("admin", "POST", `/snapshots/${id}/action`, { "os-reset_status": { status } });
  const operations = async (id: string) => (await liveOperations(world.store.read, id)).map((row) => row.name);
  const status = async (id: string) => (await ask("member", "GET", `/snapshots/${id}`)).body.snapshot?.status;

  it("is accepted as creating and shown by version", async () => {
    const { id: volume_id } = await world.givenVolume({ size_gib: 3 });
    const made = await create({ volume_id, name: " s ", metadata: { a: "b" } });
    assert.equal(made.status, 202, JSON.stringify(made.body));
    const { id, name, size, status: now, metadata } = made.body.snapshot;
    assert.deepEqual([name, size, now, metadata], ["s", 3, "creating", { a: "b" }]);
    assert.deepEqual(await operations(id), ["snapshot.create"]);
    const keys = async (version: string) =>
      Object.keys((await ask("reader", "GET", `/snapshots/${id}`, undefined, version)).body.snapshot);
    const newest = await keys("3.71");
    for (const [version, key] of [
      ["3.13", "group_snapshot_id"],
      ["3.40", "user_id"],
      ["3.64", "consumes_quota"],
    ] as const)
      assert.ok(newest.includes(key) && !(await keys(version)).includes(key), key);
    assert.ok(newest.includes("os-extended-snapshot-attributes:progress"));
    assert.equal((await ask("stranger", "GET", `/snapshots/${id}`)).status, 404);
  });

  it("refuses volumes that are not at rest, and what is over quota", async () => {
    const from = async (volume: Parameters<BlockStorageWorld["givenVolume"]>[0], more = {}, version = "3.65") =>
      (await create({ volume_id: (await world.givenVolume(volume)).id, ...more }, version)).status;
    assert.equal(await from({ status: "error" }), 400);
    assert.equal(await from({ status: "in-use" }), 400);
    assert.equal(await from({ status: "in-use" }, { force: true }), 202);
    assert.equal(await from({ status: "in-use" }, {}, "3.66"), 202);
    assert.equal(await from({}, { force: false }, "3.66"), 400);
    assert.equal(await from({ migration_status: "migrating" }), 400);
    assert.equal(await from({ project_id: OTHER_PROJECT }), 404);
    assert.equal((await create({ volume_id: "no id" })).status, 400);
    const { id } = await world.givenVolume({ project_id: OTHER_PROJECT });
    await ask("admin", "PUT", `/os-quota-sets/${OTHER_PROJECT}`, { quota_set: { snapshots: 0 } });
    assert.equal((await create({ volume_id: id }, "3.0", "stranger")).status, 413);
    await ask("admin", "PUT", "/os-services/freeze", { host: "host-1@shared" });
    assert.equal(await from({}), 400);
    await ask("admin", "PUT", "/os-services/thaw", { host: "host-1@shared" });
    assert.equal((await create({ volume_id: id }, "3.0", "reader")).status, 404);
  });

  it("lists by filter, order and page", async () => {
    const [a, b] = [await given(), await given()];
    const ids = async (query: string, who: Person = "member", path = "/snapshots") => {
      const { body } = await ask(who, "GET", `${path}?${query}`);
      return body.snapshots.map((snapshot: { id: string }) => snapshot.id);
    };
    assert.deepEqual(await ids("name=given"), [b.id, a.id]);
    assert.deepEqual(await ids("name=given&sort=created_at:asc"), [a.id, b.id]);
    assert.deepEqual(await ids(`name=given&marker=${b.id}`, "member", "/snapshots/detail"), [a.id]);
    assert.deepEqual(await ids(`volume_id=${a.volume_id}`), [a.id]);
    assert.deepEqual(await ids("name=given&status=available"), []);
    assert.deepEqual(await ids("name=given", "stranger"), []);
    assert.deepEqual(await ids("name=given&all_tenants=1", "admin"), [b.id, a.id]);
    const { body } = await ask("member", "GET", "/snapshots?name=given&limit=1&with_count=1");
    assert.deepEqual([body.count, body.snapshots_links[0].rel], [2, "next"]);
    assert.equal((await ask("member", "GET", "/snapshots?colour=red")).status, 400);
  });

  it("is renamed, keeps metadata, and is deleted at rest", async () => {
    const { id } = await given();
    const path = `/snapshots/${id}`;
    const renamed = await ask("member", "PUT", path, { snapshot: { name: "new", description: null } });
    assert.deepEqual([renamed.body.snapshot.name, renamed.body.snapshot.description], ["new", null]);
    assert.equal((await ask("member", "PUT", path, { snapshot: {} })).status, 400);
    assert.deepEqual((await ask("member", "POST", `${path}/metadata`, { metadata: { k: "v" } })).body, {
      metadata: { k: "v" },
    });
    assert.deepEqual((await ask("reader", "GET", `${path}/metadata/k`)).body, { meta: { k: "v" } });
    assert.equal((await ask("member", "DELETE", path)).status, 400);
    assert.equal((await reset(id, "available")).status, 202);
    assert.deepEqual([await operations(id), await status(id)], [[], "available"]);
    assert.equal((await ask("member", "DELETE", path)).status, 202);
    assert.deepEqual([await operations(id), await status(id)], [["snapshot.delete"], "deleting"]);
  });

  it("is reset and deleted by force by administrators", async () => {
    const { id } = await given();
    for (const bad of ["in-use", ""]) assert.equal((await reset(id, bad)).status, 400);
    const force = (who: Person) => ask(who, "POST", `/snapshots/${id}/action`, { "os-force_delete": {} });
    assert.equal((await force("member")).status, 403);
    assert.equal((await force("admin")).status, 202);
    assert.deepEqual(await operations(id), ["snapshot.delete"]);
    assert.equal((await reset("nowhere", "error")).status, 404);
  });
});
