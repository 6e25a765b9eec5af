import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables, VolumeRow } from "../store/tables.ts";
import { transition } from "../store/volumes.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

onBothStores("migrating and retyping volumes", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await world.givenBackend("host-1@shared");
    await world.givenBackend("node1@lvm");
    for (const host of ["host-3@c", "host-4@c"]) await world.givenBackend(host, { cluster: "pileus@c" });
    for (const host of ["host-5@off", "host-6@down", "host-7@frozen"]) await world.givenBackend(host);
    await world.givenService("host-5@off", { disabled: 1 });
    await world.givenService("host-6@down", { last_seen: world.clock.now() - 3_600_000 });
    await world.ask("admin", "PUT", "/os-services/freeze", { body: { host: "host-7@frozen" } });
  });
  after(() => world.close());

  const act = (id: string, body: object, who: Person = "admin", version = "3.71") =>
    world.ask(who, "POST", `/volumes/${id}/action`, { version, body });
  const migrate = (id: string, body: object, version?: string) =>
    act(id, { "os-migrate_volume": body }, "admin", version);
  const given = async (row: Partial<VolumeRow> = {}) => (await world.givenVolume(row)).id;
  const live = async (id: string) => (await liveOperations(world.store.read, id)).map(({ name }) => name);
  const givenSnapshot = async (id: string) => {
    const row = snapshotRow(await world.volume(id));
    await world.store.tx((t) => t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(row).execute());
  };
  const givenType = async (name: string) => {
    const made = await world.ask("admin", "POST", "/types", { body: { volume_type: { name } } });
    return made.body.volume_type.id as string;
  };

  it("a migration is accepted as published, to a host or a cluster, and shows", async () => {
    const id = await given();
    assert.equal((await act(id, sample("volume-os-migrate_volume-request") as object, "admin", "3.0")).status, 202);
    assert.deepEqual(await live(id), ["volume.migrate"]);
    const seen = (await world.ask("admin", "GET", `/volumes/${id}`)).body.volume;
    assert.deepEqual(
      [seen.status, seen.migration_status, seen["os-vol-mig-status-attr:migstat"]],
      ["available", "starting", "starting"],
    );
    const hidden = (await world.ask("member", "GET", `/volumes/${id}`)).body.volume;
    assert.ok(!("migration_status" in hidden) && !("os-vol-mig-status-attr:migstat" in hidden));
    const locked = await given();
    const body = { cluster: "pileus@c", lock_volume: "yes", force_host_copy: true };
    assert.equal((await migrate(locked, body)).status, 202);
    const { status, previous_status } = await world.volume(locked);
    assert.deepEqual([status, previous_status], ["maintenance", "available"]);
    for (const status of ["error", "success"] as const)
      assert.equal((await migrate(await given({ migration_status: status }), { host: "host-4@c#c" })).status, 202);
  });

  it("a migration needs one destination that may take it", async () => {
    for (const body of [
      {},
      { host: "" },
      { host: "node1@lvm", cluster: "pileus@c" },
      { host: "nowhere@x" },
      { cluster: "nowhere@x" },
      { host: "host-1@shared#shared" },
      { host: "host-5@off" },
      { host: "host-6@down" },
      { host: "host-7@frozen" },
      { host: "node1@lvm", lock_volume: "perhaps" },
      { host: "node1@lvm", other: 1 },
    ])
      assert.equal((await migrate(await given(), body)).status, 400, JSON.stringify(body));
    assert.equal((await migrate(await given(), { cluster: "pileus@c" }, "3.15")).status, 400);
    const clustered = { host: "host-3@c#c", cluster_name: "pileus@c#c" };
    assert.equal((await migrate(await given(clustered), { host: "host-4@c" })).status, 400);
    assert.equal((await migrate(await given(clustered), { cluster: "pileus@c" })).status, 400);
  });

  it("a volume that may not move, does not", async () => {
    for (const row of [
      { status: "error" },
      { status: "in-use", attach_status: "attached" },
      { migration_status: "migrating" },
      { replication_status: "enabled" },
      { group_id: "g" },
    ] as const) {
      const id = await given(row);
      assert.equal((await migrate(id, { host: "node1@lvm" })).status, 400, JSON.stringify(row));
      assert.deepEqual(await live(id), []);
    }
    const kept = await given();
    await givenSnapshot(kept);
    assert.equal((await migrate(kept, { host: "node1@lvm" })).status, 400);
    const body = { "os-migrate_volume": { host: "node1@lvm" } };
    assert.equal((await act(await given(), body, "member")).status, 403);
    assert.equal((await act("nowhere", body, "member")).status, 404);
  });

  const SERVER = "8d5e8a4c-2f0e-4f0e-9c35-6a7f9a3f0b11";
  const givenInUse = async (held_by_compute: number, row: Partial<VolumeRow> = {}) => {
    const id = await given({ status: "in-use", attach_status: "attached", ...row });
    const attachment = {
      id: world.ids.uuid(),
      volume_id: id,
      project_id: PROJECT,
      server_id: SERVER,
      attached_host: "host-1",
      mountpoint: "/dev/vdb",
      attach_mode: "rw" as const,
      attach_status: "attached" as const,
      connector: "{}",
      connection_info: "{}",
      attached_at: world.clock.now(),
      detached_at: null,
      held_by_compute,
      created_at: world.clock.now(),
      updated_at: null,
    };
    await world.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_attachments").values(attachment).execute(),
    );
    return id;
  };

  it("what a server has moves, grows and changes its type under it, unless the server is changing", async () => {
    const extend = (id: string, version?: string) => act(id, { "os-extend": { new_size: 5 } }, "member", version);
    const retype = async (id: string, policy: string) =>
      act(id, { "os-retype": { new_type: await givenType(`t-${id}-${policy}`), migration_policy: policy } }, "member");
    const [moving, growing, changing] = [await givenInUse(1), await givenInUse(1), await givenInUse(1)];
    assert.equal((await migrate(moving, { host: "node1@lvm", lock_volume: true })).status, 202);
    const { status, migration_status } = await world.volume(moving);
    assert.deepEqual([status, migration_status], ["in-use", "starting"]);
    assert.equal((await extend(growing, "3.41")).status, 400);
    assert.equal((await extend(growing, "3.42")).status, 202);
    const grows = await world.volume(growing);
    assert.deepEqual([grows.status, grows.previous_status], ["extending", "in-use"]);
    assert.equal((await extend(moving)).status, 400);
    assert.equal((await retype(changing, "on-demand")).status, 202);
    world.changing.add(SERVER);
    const [busy, foreign] = [await givenInUse(1), await givenInUse(0)];
    assert.equal((await migrate(busy, { host: "node1@lvm" })).status, 400);
    assert.equal((await extend(busy)).status, 400);
    assert.equal((await retype(busy, "on-demand")).status, 400);
    assert.equal((await retype(busy, "never")).status, 202);
    world.changing.delete(SERVER);
    assert.equal((await migrate(foreign, { host: "node1@lvm" })).status, 400);
    assert.equal((await retype(foreign, "on-demand")).status, 400);
    assert.equal((await extend(foreign)).status, 202);
  });

  const cancelled = async (id: string) => {
    const rows = await world.store.read
      .tables<OperationTables>()
      .selectFrom("operations")
      .select("cancelled")
      .where("resource_id", "=", id)
      .execute();
    return rows.map((row) => row.cancelled);
  };

  it("while it moves nothing else happens to it, unless an administrator ends the move", async () => {
    const id = await given();
    await migrate(id, { host: "node1@lvm" });
    for (const body of [
      { "os-migrate_volume": { host: "node1@lvm" } },
      { "os-extend": { new_size: 5 } },
      { "os-retype": { new_type: await givenType("other") } },
      { "os-force_delete": null },
      { "os-unmanage": null },
    ])
      assert.equal((await act(id, body)).status, 400, JSON.stringify(body));
    for (const [path, body] of [
      ["/snapshots", { snapshot: { volume_id: id } }],
      ["/volumes", { volume: { source_volid: id } }],
    ] as const)
      assert.equal((await world.ask("member", "POST", path, { body })).status, 400, path);
    assert.equal((await world.ask("member", "DELETE", `/volumes/${id}`)).status, 400);
    assert.equal((await act(id, { "os-reset_status": { migration_status: "none" } })).status, 202);
    assert.deepEqual(await cancelled(id), [1]);
    const served = await givenInUse(1);
    await migrate(served, { host: "node1@lvm" });
    assert.equal((await act(served, { "os-reset_status": { attach_status: "detached" } })).status, 202);
    assert.deepEqual(await cancelled(served), [1]);
    const arriving = await given();
    await migrate(arriving, { host: "node1@lvm" });
    const pastPivot = (attempts: number) =>
      world.store.tx((t) =>
        t
          .tables<OperationTables>()
          .updateTable("operations")
          .set({ cancellable: 0, attempts })
          .where("resource_id", "=", arriving)
          .execute(),
      );
    await pastPivot(0);
    for (const body of [{ status: "available" }, { attach_status: "detached" }])
      assert.equal((await act(arriving, { "os-reset_status": body })).status, 400);
    await pastPivot(1);
    assert.equal((await act(arriving, { "os-reset_status": { status: "error" } })).status, 202);
    const { status, migration_status } = await world.volume(arriving);
    assert.deepEqual([status, migration_status], ["error", "error"]);
    assert.equal((await act(arriving, { "os-force_delete": null })).status, 202);
  });

  it("a completion has nothing to complete", async () => {
    const [id, other] = [await given(), await given()];
    const complete = (volume: string, body: object, who?: Person) =>
      act(volume, { "os-migrate_volume_completion": body }, who);
    const done = await complete(id, { new_volume: other, error: false });
    assert.deepEqual([done.status, done.body], [200, { save_volume_id: other }]);
    const published = sample("volume-os-migrate_volume_completion-request") as object;
    assert.equal((await act(id, published)).status, 404);
    assert.equal((await complete("none", { new_volume: other })).status, 404);
    assert.equal((await complete(id, {})).status, 400);
    assert.equal((await complete(id, { new_volume: other }, "member")).status, 403);
    await migrate(id, { host: "node1@lvm" });
    assert.equal((await complete(id, { new_volume: other })).status, 400);
    const extended = sample("volume-os-extend_volume_completion-request") as object;
    assert.equal((await act(other, extended)).status, 400);
    assert.equal((await act(other, extended, "member")).status, 403);
  });

  it("a change of type is accepted as published, and counts", async () => {
    const typeId = await givenType("dedup-tier-replicaton");
    const id = await given();
    assert.equal((await act(id, sample("volume-os-retype-request") as object, "member")).status, 202);
    assert.equal((await world.volume(id)).status, "retyping");
    const [operation] = await liveOperations(world.store.read, id);
    assert.deepEqual(JSON.parse(operation?.input ?? ""), {
      volumeId: id,
      typeId,
      mayMove: false,
      growth: { "volumes_dedup-tier-replicaton": 1, "gigabytes_dedup-tier-replicaton": 1 },
    });
    assert.equal((await world.ask("admin", "DELETE", `/types/${typeId}`)).status, 400);
    const quota_set = { "volumes_dedup-tier-replicaton": 1 };
    await world.ask("admin", "PUT", `/os-quota-sets/${PROJECT}`, { body: { quota_set } });
    const second = { "os-retype": { new_type: typeId, migration_policy: "on-demand" } };
    assert.equal((await act(await given(), second, "member")).status, 413);
    await world.ask("admin", "PUT", `/os-quota-sets/${PROJECT}`, {
      body: { quota_set: { "volumes_dedup-tier-replicaton": 2 } },
    });
    // Its row says so from the switch on, while the operation still settles.
    const retyped = { set: { type_id: typeId } };
    await world.store.tx((t) => transition(t, { clock: world.clock, id, from: null, to: retyped, action: "retype" }));
    assert.equal((await act(await given(), second, "member")).status, 202, "counted once");
    assert.equal((await act(await given(), second, "member")).status, 413);
  });

  it("refuses a change of type that makes no sense", async () => {
    const retype = async (row: Partial<VolumeRow>, body: object, who: Person = "member") =>
      (await act(await given(row), { "os-retype": body }, who)).status;
    const type = await givenType("fine");
    for (const body of [
      {},
      { new_type: "" },
      { new_type: type, migration_policy: "sometimes" },
      { new_type: "__DEFAULT__" },
      { new_type: type, x: 1 },
    ])
      assert.equal(await retype({}, body), 400, JSON.stringify(body));
    for (const row of [{ status: "error" }, { migration_status: "starting" }, { group_id: "g" }] as const)
      assert.equal(await retype(row, { new_type: type }), 400, JSON.stringify(row));
    assert.equal(await retype({}, { new_type: "no such type" }), 404);
    assert.equal(await retype({}, { new_type: type }, "reader"), 403);
    assert.equal(await retype({}, { new_type: type }, "stranger"), 404);
    assert.equal(await retype({}, { new_type: "fine", migration_policy: "never" }), 202);
  });
});
