import assert from "node:assert/strict";
import { after, before, beforeEach, it } from "node:test";
import { type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables, VolumeRow } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

const REF = { "source-name": "existingLV" };

onBothStores("managing and unmanaging volumes", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenBackend("geraint-VirtualBox@lvm");
    await world.givenService("geraint-VirtualBox@lvm", { zone: "az2" });
    for (const host of ["host-1@shared", "host-2@shared"])
      await world.givenBackend(host, { cluster: "cluster@backend" });
    for (const host of ["host-1@shared", "host-2@shared"]) await world.givenService(host, { zone: "az2" });
    await world.givenBackend("host-3@off");
    await world.givenService("host-3@off", { disabled: 1 });
  });
  after(() => world.close());

  const post = (body: unknown, { version = "3.71", path = "/manageable_volumes", who = "admin" as Person } = {}) =>
    world.ask(who, "POST", path, { version, body });
  const manage = (volume: object, version?: string) =>
    post({ volume: { ref: REF, ...volume } }, version === undefined ? {} : { version });

  it("takes what is published, at each of its paths", async () => {
    const request = sample("volume_manage_extensions/volume-manage-request");
    for (const [version, path] of [
      ["3.0", "/os-volume-manage"],
      ["3.8", "/manageable_volumes"],
    ] as const) {
      const { status, body } = await post(request, { version, path });
      assert.equal(status, 202);
      const published = sample("volume_manage_extensions/volume-manage-response") as { volume: object };
      const { "os-vol-tenant-attr:tenant_id": _, ...volume } = published.volume as Record<string, unknown>;
      for (const [key, value] of Object.entries(volume))
        assert.ok(key in body.volume && (value === null || value !== undefined), key);
      assert.deepEqual([body.volume.status, body.volume.size, body.volume.name], ["creating", 0, "New Volume"]);
      const { host, status: stored, bootable, consumes_quota } = await world.volume(body.volume.id);
      assert.deepEqual([host, stored, bootable, consumes_quota], ["geraint-VirtualBox@lvm#lvm", "managing", 1, 0]);
      const [operation] = await liveOperations(world.store.read, body.volume.id);
      assert.equal(operation?.name, "volume.manage");
      assert.equal(JSON.parse(operation?.input ?? "").reference, "existingLV");
    }
    assert.equal((await post(request, { version: "3.7" })).status, 404);
    const clustered = await post(sample("volume-manage-request-cluster"));
    assert.equal((await world.volume(clustered.body.volume.id)).cluster_name, "cluster@backend#shared");
  });

  it("needs one place that is up and enabled", async () => {
    assert.equal((await manage({})).status, 400);
    assert.equal((await manage({ host: "host-1@shared", cluster: "cluster@backend" })).status, 400);
    assert.equal((await manage({ cluster: "cluster@backend" }, "3.15")).status, 400);
    for (const place of [{ host: "nowhere" }, { host: "host-3@off" }, { cluster: "nowhere@x" }])
      assert.equal((await manage(place)).body.serviceUnavailable.code, 503);
    await world.givenService("geraint-VirtualBox@lvm", { last_seen: world.clock.now() - 3_600_000 });
    assert.equal((await manage({ host: "geraint-VirtualBox" })).status, 503);
    await world.givenService("geraint-VirtualBox@lvm", { last_seen: world.clock.now() });
  });

  it("refuses what cannot be meant", async () => {
    const host = "geraint-VirtualBox@lvm#lvm";
    for (const volume of [
      { host, ref: {} },
      { host, ref: { "source-name": "" } },
      { host, ref: 7 },
      { host, volume_type: "no such type" },
      { host, availability_zone: "moon" },
      { host, bootable: "maybe" },
      { host: "no host!" },
    ])
      assert.equal((await manage(volume)).status, 400, JSON.stringify(volume));
    assert.equal((await post({ volume: { host } })).status, 400);
    assert.equal((await post({ volume: { ref: REF, host } }, { who: "member" })).status, 403);
    await world.ask("admin", "POST", "/types", {
      body: { volume_type: { name: "elsewhere", extra_specs: { volume_backend_name: "other" } } },
    });
    assert.equal((await manage({ host, volume_type: "elsewhere" })).status, 400);
    assert.equal((await manage({ host, ref: "by name" })).status, 202);
  });

  it("lists what is on an array", async () => {
    const managed = "9ba5bb53-4a18-4b38-be06-992999da338d";
    world.data.push(
      { reference: "lvol0", sizeGiB: 3, safeToManage: true, reasonNotSafe: null, volumeId: null },
      {
        reference: `${managed}.raw`,
        sizeGiB: 1,
        safeToManage: false,
        reasonNotSafe: "already managed",
        volumeId: managed,
      },
    );
    const list = async (path: string, version = "3.71") => await world.ask("admin", "GET", path, { version });
    const names = async (query: string) =>
      (await list(`/manageable_volumes?host=geraint-VirtualBox${query}`)).body["manageable-volumes"].map(
        (found: { reference: { "source-name": string } }) => found.reference["source-name"].slice(0, 5),
      );
    for (const path of ["/os-volume-manage", "/manageable_volumes"]) {
      const plain = await list(`${path}?host=geraint-VirtualBox@lvm`);
      sameShape(plain.body, sample("volume-manage-list-response"));
      const detail = await list(`${path}/detail?cluster=cluster@backend&sort=size:asc`);
      sameShape(detail.body, sample("volume-manage-list-detail-response"));
      assert.equal(detail.body["manageable-volumes"][0].cinder_id, managed);
    }
    assert.deepEqual(await names(""), ["lvol0", "9ba5b"]);
    assert.deepEqual(await names("&sort=reference:asc"), ["9ba5b", "lvol0"]);
    assert.deepEqual(await names("&sort_key=size&sort_dir=asc"), ["9ba5b", "lvol0"]);
    assert.deepEqual(await names("&limit=1"), ["lvol0"]);
    assert.deepEqual(await names("&offset=1"), ["9ba5b"]);
    assert.deepEqual(await names(`&marker=${encodeURIComponent("{'source-name': 'lvol0'}")}`), ["9ba5b"]);
    assert.deepEqual(await names("&marker=lvol0"), ["9ba5b"]);
    for (const query of ["", "?host=a&cluster=b", "?host=geraint-VirtualBox&marker=none", "?host=a&sort=name", "?x=1"])
      assert.equal((await list(`/manageable_volumes${query}`)).status, 400, query);
    assert.equal((await list("/manageable_volumes?cluster=cluster@backend", "3.16")).status, 400);
    assert.equal((await list("/manageable_volumes?host=nowhere")).status, 503);
    assert.equal((await list("/manageable_volumes?host=geraint-VirtualBox", "3.7")).status, 404);
    assert.equal((await world.ask("member", "GET", "/os-volume-manage?host=geraint-VirtualBox")).status, 403);
  });

  it("unmanages, unless something stands in the way", async () => {
    const unmanage = async (row: Partial<VolumeRow>, who: Person = "admin", body: unknown = null) => {
      const { id } = await world.givenVolume(row);
      return { id, ...(await act(id, who, body)) };
    };
    const act = (id: string, who: Person, body: unknown) =>
      world.ask(who, "POST", `/volumes/${id}/action`, { body: { "os-unmanage": body } });
    for (const status of ["available", "error", "error_managing", "error_extending", "error_restoring"] as const) {
      const { id, status: answer } = await unmanage({ status });
      assert.equal(answer, 202, status);
      assert.equal((await world.volume(id)).status, "unmanaging");
      assert.deepEqual(
        (await liveOperations(world.store.read, id)).map(({ name }) => name),
        ["volume.unmanage"],
      );
    }
    const { "os-unmanage": published } = sample("volume-unmanage-request") as { "os-unmanage": object };
    assert.equal((await unmanage({}, "admin", published)).status, 202);
    const never = await unmanage({ status: "error", host: null });
    assert.notEqual((await world.volume(never.id)).deleted_at, null);
    for (const row of [
      { status: "creating" },
      { status: "in-use", attach_status: "attached" },
      { migration_status: "migrating" },
      { group_id: "g" },
      { encrypted: 1 },
    ] as const)
      assert.equal((await unmanage(row)).status, 400, JSON.stringify(row));
    const kept = await world.givenVolume();
    await world.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(snapshotRow(kept)).execute(),
    );
    assert.equal((await act(kept.id, "admin", null)).status, 400);
    assert.equal((await unmanage({ project_id: PROJECT }, "member")).status, 403);
    assert.equal((await act("none", "member", null)).status, 404);
  });

  beforeEach(() => void world.data.splice(0));
});
