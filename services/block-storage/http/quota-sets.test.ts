import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";

describe("quotas and limits of volumes", () => {
  let world: BlockStorageWorld;
  let dispose: () => Promise<void>;
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    const volume = await world.givenVolume({ size_gib: 5 });
    await world.givenVolume({ size_gib: 7, deleted_at: 1 });
    await world.givenVolume({ size_gib: 9, consumes_quota: 0 });
    await world.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(snapshotRow(volume)).execute(),
    );
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const PATH = `/os-quota-sets/${PROJECT}`;
  const put = (quota_set: unknown) => world.ask("admin", "PUT", PATH, { body: { quota_set } });

  it("shows limits, what is used, and the defaults", async () => {
    const { body } = await world.ask("reader", "GET", PATH);
    const { id, volumes, gigabytes, per_volume_gigabytes } = body.quota_set;
    assert.deepEqual([id, volumes, gigabytes, per_volume_gigabytes], [PROJECT, 10, 1000, -1]);
    assert.equal(body.quota_set.volumes___DEFAULT__, -1);
    const used = (await world.ask("reader", "GET", `${PATH}?usage=True`)).body.quota_set;
    assert.deepEqual(used.gigabytes, { limit: 1000, in_use: 10, reserved: 0 });
    assert.deepEqual(used.gigabytes___DEFAULT__, { limit: -1, in_use: 10, reserved: 0 });
    assert.deepEqual([used.volumes.in_use, used.snapshots.in_use], [1, 1]);
    assert.equal((await world.ask("reader", "GET", `${PATH}/defaults`)).body.quota_set.snapshots, 10);
    assert.equal((await world.ask("stranger", "GET", PATH)).status, 403);
    assert.equal((await world.ask("reader", "GET", `${PATH}?usage=maybe`)).status, 400);
  });

  it("is set and taken back by administrators", async () => {
    const { status, body } = await put({ volumes: 3, gigabytes___DEFAULT__: "20", tenant_id: PROJECT });
    assert.deepEqual([status, body.quota_set.volumes, body.quota_set.gigabytes___DEFAULT__], [200, 3, 20]);
    for (const bad of [{ volumes: -2 }, { volumes: "x" }, { cats: 1 }, { volumes: true }, { volumes: 2 ** 31 }])
      assert.equal((await put(bad)).status, 400, JSON.stringify(bad));
    assert.match((await put({ gigabytes: 9 })).body.badRequest.message, /below what is in use: 10/);
    assert.equal((await put({ gigabytes: -1, per_volume_gigabytes: 1 })).status, 200);
    assert.equal((await put({ gigabytes: 9, skip_validation: true })).status, 200);
    assert.equal((await world.ask("member", "PUT", PATH, { body: { quota_set: { volumes: 1 } } })).status, 403);
    assert.equal((await world.ask("admin", "DELETE", PATH)).status, 200);
    assert.equal((await world.ask("admin", "GET", PATH)).body.quota_set.volumes, 10);
  });

  it("the default class is what projects have for which nothing was set", async () => {
    const classes = (method: string, body?: unknown) =>
      world.ask("admin", method, "/os-quota-class-sets/default", body === undefined ? {} : { body });
    const shown = (await classes("GET")).body.quota_class_set;
    assert.deepEqual([shown.id, shown.volumes, shown.volumes___DEFAULT__], ["default", 10, -1]);
    const set = await classes("PUT", { quota_class_set: { class_name: "default", volumes: 14 } });
    assert.deepEqual([set.status, set.body.quota_class_set.volumes, set.body.quota_class_set.id], [200, 14, undefined]);
    assert.equal((await world.ask("reader", "GET", PATH)).body.quota_set.volumes, 14);
    assert.equal((await world.ask("reader", "GET", `${PATH}/defaults`)).body.quota_set.volumes, 14);
    assert.equal((await classes("PUT", { quota_class_set: { cats: 1 } })).status, 400);
    assert.equal((await world.ask("manager", "GET", "/os-quota-class-sets/default")).status, 403);
    await classes("PUT", { quota_class_set: { volumes: 10 } });
  });

  it("shows limits of the own project, to administrators of any", async () => {
    const { absolute } = (await world.ask("reader", "GET", "/limits")).body.limits;
    assert.deepEqual([absolute.maxTotalVolumes, absolute.totalVolumesUsed, absolute.totalGigabytesUsed], [10, 1, 10]);
    const other = async (who: "admin" | "member", version: string) =>
      (await world.ask(who, "GET", `/limits?project_id=${OTHER_PROJECT}`, { version })).body.limits.absolute;
    assert.equal((await other("admin", "3.39")).totalVolumesUsed, 0);
    assert.equal((await other("admin", "3.38")).totalVolumesUsed, 1);
    assert.equal((await other("member", "3.39")).totalVolumesUsed, 1);
  });
});
