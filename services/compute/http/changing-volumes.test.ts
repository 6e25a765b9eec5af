import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { holdSettled } from "../public.ts";
import { blockDevicesOf, updateBlockDevice } from "../store/block-devices.ts";
import type { ServerRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

const LEAVING = [{ "os-migrateLive": { host: null, block_migration: "auto" } }, { migrate: null }];

onBothStores("servers whose volumes change", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    for (const host of ["host-1", "host-2"]) await world.givenHost(host);
  });
  after(() => world.close());

  const act = (server: ServerRow, body: object) =>
    world.ask("admin", "POST", `/servers/${server.id}/action`, { version: "2.93", body });
  const givenAttached = async () => {
    const [server, { id: volumeId }] = [await world.givenServer(), await world.givenVolume()];
    const path = `/servers/${server.id}/os-volume_attachments`;
    await world.ask("member", "POST", path, { body: { volumeAttachment: { volumeId } } });
    await world.store.tx(async (t) => {
      for (const { id, attachment_id: attachmentId, device } of await blockDevicesOf(t, server.id)) {
        if (attachmentId === null) continue;
        const connection = { kind: "unix", path: "/run/v", export: "v" } as const;
        await world.deps.blockStorage.connected(t, { attachmentId, host: "host-1", device, connection });
        await world.deps.blockStorage.attached(t, attachmentId);
        await updateBlockDevice(t, id, { state: "present" });
      }
    });
    return { server, volumeId, path };
  };

  it("stay where they are and live until that has ended", async () => {
    for (const change of [{ migration_status: "starting" }, { migration_status: "completing" }] as const) {
      const { server, volumeId, path } = await givenAttached();
      const { id: flavorRef } = await world.givenFlavor({ id: world.ids.uuid(), name: world.ids.uuid(), vcpus: 2 });
      await world.setVolume(volumeId, change);
      for (const body of [...LEAVING, { resize: { flavorRef } }])
        assert.equal((await act(server, body)).status, 409, JSON.stringify(body));
      assert.equal((await world.ask("member", "DELETE", `${path}/${volumeId}`)).status, 400);
      assert.deepEqual((await world.server(server.id)).task_state, null);
      assert.equal((await act(server, { "os-stop": null })).status, 202);
    }
    const { server, volumeId } = await givenAttached();
    await world.setVolume(volumeId, { status: "extending" });
    assert.equal((await act(server, { migrate: null })).status, 409);
    await world.setVolume(volumeId, { status: "in-use", migration_status: "success" });
    assert.equal((await act(server, { migrate: null })).status, 202);
  });

  it("can be deleted all the same", async () => {
    for (const change of [
      { migration_status: "migrating" },
      { status: "extending" },
      { status: "retyping" },
    ] as const) {
      const [{ server: one, volumeId }, { server: other, volumeId: second }] = [
        await givenAttached(),
        await givenAttached(),
      ];
      for (const id of [volumeId, second]) await world.setVolume(id, change);
      assert.equal((await world.ask("member", "DELETE", `/servers/${one.id}`)).status, 204);
      assert.equal((await act(other, { forceDelete: null })).status, 202);
    }
  });

  it("are told to Block Storage as settled or not", async () => {
    const settled = (id: string) => world.store.tx((t) => holdSettled(t, id));
    for (const vm_state of ["active", "paused", "stopped"] as const)
      assert.equal(await settled((await world.givenServer({ vm_state })).id), true, vm_state);
    for (const row of [{ task_state: "migrating" }, { vm_state: "resized" }, { vm_state: "error" }] as const)
      assert.equal(await settled((await world.givenServer(row)).id), false, JSON.stringify(row));
    assert.equal(await settled(world.ids.uuid()), false);
  });
});
