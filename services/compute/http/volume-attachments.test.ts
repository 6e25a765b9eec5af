import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { OTHER_PROJECT, type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { blockDevicesOf, updateBlockDevice } from "../store/block-devices.ts";
import { setQuotas } from "../store/quotas.ts";
import type { ServerRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

const NOBODY = "00000000-0000-4000-8000-000000000000";

describe("volumes of servers", () => {
  let world: ComputeWorld;
  let dispose: () => Promise<void>;
  let server: ServerRow;
  let volumeId = "";
  before(async () => {
    world = await computeWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenHost("host-1");
    await world.store.tx((t) => setQuotas(t, PROJECT, { instances: -1, cores: -1, ram: -1 }));
  });
  beforeEach(async () => {
    server = await world.givenServer();
    volumeId = (await world.givenVolume()).id;
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const path = (suffix = "") => `/servers/${server.id}/os-volume_attachments${suffix}`;
  const ask = (method: string, suffix = "", volumeAttachment?: object, version = "2.104", who: Person = "member") =>
    world.ask(who, method, path(suffix), {
      version,
      ...(volumeAttachment === undefined ? {} : { body: { volumeAttachment } }),
    });
  const attach = (more: object = {}, version?: string, who?: Person) =>
    ask("POST", "", { volumeId, ...more }, version, who);
  /** What the operation does that an attach starts. */
  const carryOut = async () => {
    const { store, deps } = world;
    await store.tx(async (t) => {
      for (const { id, attachment_id: attachmentId, device } of await blockDevicesOf(t, server.id)) {
        if (attachmentId === null) continue;
        const connection = { kind: "unix", path: "/run/v", export: "v" } as const;
        await deps.blockStorage.connected(t, { attachmentId, host: "host-1", device, connection });
        await deps.blockStorage.attached(t, attachmentId);
        await updateBlockDevice(t, id, { state: "present" });
      }
    });
  };
  const live = async () => (await liveOperations(world.store.read, server.id)).map((operation) => operation.name);

  it("are attached, shown as each version shows them, and detached", async () => {
    const { status, body } = await attach({ tag: "data", delete_on_termination: true });
    assert.equal(status, 200, JSON.stringify(body));
    const common = { volumeId, serverId: server.id, device: "/dev/vdb" };
    const since79 = { ...common, tag: "data", delete_on_termination: true };
    assert.deepEqual(body.volumeAttachment, { id: volumeId, ...since79 });
    assert.deepEqual(await live(), ["server.attach_volume"]);
    assert.equal((await world.volume(volumeId)).status, "reserved");

    const [row] = await blockDevicesOf(world.store.read, server.id);
    for (const [version, expected] of [
      ["2.1", { id: volumeId, ...common }],
      ["2.70", { id: volumeId, ...common, tag: "data" }],
      ["2.79", { id: volumeId, ...since79 }],
      ["2.89", { ...since79, attachment_id: row?.attachment_id, bdm_uuid: row?.id }],
    ] as const) {
      assert.deepEqual((await ask("GET", "", undefined, version)).body, { volumeAttachments: [expected] });
      const one = await ask("GET", `/${volumeId}`, undefined, version, "reader");
      assert.deepEqual(one.body, { volumeAttachment: expected });
    }
    const attached = async (version: string) =>
      (await world.ask("member", "GET", `/servers/${server.id}`, { version })).body.server[
        "os-extended-volumes:volumes_attached"
      ];
    assert.deepEqual(await attached("2.1"), [{ id: volumeId }]);
    assert.deepEqual(await attached("2.3"), [{ id: volumeId, delete_on_termination: true }]);

    await carryOut();
    assert.equal((await ask("DELETE", `/${volumeId}`)).status, 202);
    assert.equal((await world.volume(volumeId)).status, "detaching");
    assert.deepEqual(await live(), ["server.attach_volume", "server.detach_volume"]);
    assert.equal((await ask("DELETE", `/${volumeId}`)).status, 400, "it is being detached already");
    const actions = await world.ask("member", "GET", `/servers/${server.id}/os-instance-actions`);
    const names = actions.body.instanceActions.map((one: { action: string }) => one.action);
    assert.deepEqual(names.toSorted(), ["attach_volume", "detach_volume"]);
  });

  it("get the next device, whatever is asked for, as long as there is one", async () => {
    const second = await world.givenVolume();
    assert.equal((await attach({ device: "/dev/sdz" })).body.volumeAttachment.device, "/dev/vdb");
    const { body } = await ask("POST", "", { volumeId: second.id, device: null });
    assert.equal(body.volumeAttachment.device, "/dev/vdc");
    assert.equal((await ask("GET", "?limit=1&offset=1")).body.volumeAttachments[0].volumeId, second.id);
    for (let disks = 2; disks < 25; disks += 1) {
      const { id } = await world.givenVolume();
      assert.equal((await ask("POST", "", { volumeId: id })).status, 200);
    }
    const last = await world.givenVolume();
    assert.equal((await ask("POST", "", { volumeId: last.id })).status, 403);
    assert.equal((await world.volume(last.id)).status, "available");
  });

  it("may change whether they go with the server", async () => {
    await attach();
    const update = (wanted: object, version = "2.85", who: Person = "member") =>
      ask("PUT", `/${volumeId}`, wanted, version, who);
    assert.equal((await update({ volumeId, delete_on_termination: true })).status, 202);
    const shown = (await ask("GET", `/${volumeId}`)).body.volumeAttachment;
    assert.equal(shown.delete_on_termination, true);
    assert.equal((await update({ volumeId, id: volumeId, serverId: server.id, device: "/dev/vdb" })).status, 202);
    for (const wrong of [{ id: NOBODY }, { serverId: NOBODY }, { device: "/dev/vdz" }, { tag: "other" }])
      assert.equal((await update({ volumeId, ...wrong })).status, 400, JSON.stringify(wrong));
    assert.equal((await update({ volumeId, delete_on_termination: true }, "2.84")).status, 400);
    assert.equal((await update({ volumeId: NOBODY })).status, 403, "a swap is for administrators");
    assert.equal((await update({ volumeId: NOBODY }, "2.85", "admin")).status, 409);
    assert.equal((await update({ volumeId: NOBODY }, "2.1", "admin")).status, 409);
  });

  it("are refused where they cannot be attached", async () => {
    assert.equal((await attach({ volumeId: NOBODY })).status, 404);
    assert.equal((await attach({ volumeId: "x" })).status, 400);
    assert.equal((await attach({ device: "/dev/v d" })).status, 400);
    assert.equal((await attach({ tag: "t" }, "2.48")).status, 400);
    assert.equal((await attach({ delete_on_termination: true }, "2.78")).status, 400);
    assert.equal((await attach({}, "2.1", "reader")).status, 403);
    assert.equal((await attach({}, "2.1", "stranger")).status, 404);
    const foreign = await world.givenVolume({ project_id: OTHER_PROJECT });
    assert.equal((await attach({ volumeId: foreign.id })).status, 404);
    for (const status of ["in-use", "error", "creating", "reserved"] as const) {
      const { id } = await world.givenVolume({ status });
      assert.equal((await attach({ volumeId: id })).status, 400, status);
    }
    for (const wrong of [{ vm_state: "error" }, { vm_state: "resized" }, { task_state: "migrating" }] as const) {
      server = await world.givenServer(wrong);
      assert.equal((await attach()).status, 409, JSON.stringify(wrong));
    }
    server = await world.givenServer({ locked: 1 });
    assert.equal((await attach()).status, 409);
    assert.equal((await attach({}, "2.1", "admin")).status, 200);
  });

  it("are refused where they cannot be detached", async () => {
    assert.equal((await ask("DELETE", `/${volumeId}`)).status, 404);
    assert.equal((await ask("GET", `/${volumeId}`)).status, 404);
    assert.equal((await ask("GET", "/x")).status, 404);
    await attach();
    assert.equal((await ask("DELETE", `/${volumeId}`)).status, 400, "it is only being attached");
    assert.equal((await ask("DELETE", `/${volumeId}`, undefined, "2.1", "reader")).status, 403);
    const { id } = await world.givenVolume({ bootable: 1 });
    const flavor = await world.givenFlavor();
    const made = await world.ask("member", "POST", "/servers", {
      version: "2.79",
      body: {
        server: {
          name: "boots",
          networks: "none",
          flavorRef: flavor.id,
          block_device_mapping_v2: [
            {
              uuid: id,
              source_type: "volume",
              destination_type: "volume",
              boot_index: 0,
              delete_on_termination: false,
            },
          ],
        },
      },
    });
    assert.equal(made.status, 202, JSON.stringify(made.body));
    server = await world.server(made.body.server.id);
    assert.deepEqual([server.image_id, server.storage], ["", "volume"]);
    assert.equal((await ask("DELETE", `/${id}`)).status, 403, "the root disk stays");
  });
});

describe("block devices of new servers", () => {
  let world: ComputeWorld;
  let dispose: () => Promise<void>;
  let flavorId = "";
  let imageId = "";
  before(async () => {
    world = await computeWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenHost("host-1");
    flavorId = (await world.givenFlavor({ disk_gib: 10 })).id;
    imageId = world.givenImage({ properties: { kernel_id: "k" }, minDiskGiB: 2 }).id;
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const create = (server: object) =>
    world.ask("member", "POST", "/servers", {
      version: "2.79",
      body: { server: { name: "s", flavorRef: flavorId, networks: "none", ...server } },
    });
  const devices = async (server: object) => {
    const { status, body } = await create(server);
    assert.equal(status, 202, JSON.stringify(body));
    const row = await world.server(body.server.id);
    const rows = await blockDevicesOf(world.store.read, row.id);
    return { row, devices: rows.map((one) => [one.device, one.state, one.boot_index, one.volume_id]), rows };
  };
  const refused = async (server: object, message: RegExp) => {
    const { status, body } = await create(server);
    assert.equal(status, 400, JSON.stringify(body));
    assert.match(body.badRequest.message, message);
  };
  const v2 = (...all: object[]) => ({ block_device_mapping_v2: all });
  const local = () => ({
    uuid: imageId,
    source_type: "image",
    destination_type: "local",
    boot_index: 0,
    delete_on_termination: true,
  });

  it("are volumes beside the image", async () => {
    const { id } = await world.givenVolume();
    const more = [
      { uuid: id, source_type: "volume", destination_type: "volume", boot_index: -1, tag: "data" },
      { source_type: "blank", destination_type: "volume", volume_size: 3, delete_on_termination: true },
    ];
    const made = await devices({ imageRef: imageId, ...v2(local(), ...more) });
    assert.deepEqual(made.devices, [
      ["/dev/vdb", "reserved", null, id],
      ["/dev/vdc", "wanted", null, null],
    ]);
    assert.deepEqual([made.rows[0]?.tag, made.rows[1]?.delete_on_termination], ["data", 1]);
    assert.equal(made.row.image_id, imageId);
    assert.equal((await world.volume(id)).status, "reserved");
  });

  it("may have their ids in upper case", async () => {
    const { id } = await world.givenVolume();
    const volume = { uuid: id.toUpperCase(), source_type: "volume", destination_type: "volume" };
    const image = { ...local(), uuid: imageId.toUpperCase() };
    const made = await devices({ imageRef: imageId, ...v2(image, volume) });
    assert.deepEqual(made.devices, [["/dev/vdb", "reserved", null, id]]);
    assert.equal(made.row.image_id, imageId);
  });

  it("are what the server boots from: a volume, or one made from an image or a snapshot", async () => {
    const { id } = await world.givenVolume({ bootable: 1, image_metadata: JSON.stringify({ kernel_id: "k" }) });
    const boot = { boot_index: "0", destination_type: "volume" };
    const volume = await devices(v2({ ...boot, uuid: id, source_type: "volume" }));
    assert.deepEqual(volume.devices, [["/dev/vda", "reserved", 0, id]]);
    assert.deepEqual([volume.row.image_id, JSON.parse(volume.row.image_properties)], ["", { kernel_id: "k" }]);
    const answer = await world.ask("member", "GET", `/servers/${volume.row.id}`);
    assert.equal(answer.body.server.image, "");
    const image = await devices({
      imageRef: "",
      ...v2({ ...boot, uuid: imageId, source_type: "image", volume_size: 4 }),
    });
    assert.deepEqual(image.devices, [["/dev/vda", "wanted", 0, null]]);
    assert.deepEqual([image.row.storage, JSON.parse(image.row.image_properties)], ["volume", { kernel_id: "k" }]);
  });

  it("may be said in the older way", async () => {
    const { id } = await world.givenVolume({ bootable: 1 });
    const made = await devices({
      block_device_mapping: [{ device_name: "vda", volume_id: id, delete_on_termination: "1" }],
    });
    assert.deepEqual(made.devices, [["/dev/vda", "reserved", 0, id]]);
    assert.equal(made.rows[0]?.delete_on_termination, 1);
  });

  it("are refused where they make no sense", async () => {
    const { id } = await world.givenVolume();
    const foreign = (await world.givenVolume({ project_id: OTHER_PROJECT })).id;
    const used = (await world.givenVolume({ status: "in-use" })).id;
    const volume = { uuid: id, source_type: "volume", destination_type: "volume" };
    const blank = { source_type: "blank", destination_type: "volume" };
    const image = { uuid: imageId, source_type: "image", destination_type: "volume" };
    await refused(v2({ ...volume, boot_index: 0 }), /not bootable/);
    await refused({ imageRef: imageId, ...v2({ ...volume, uuid: foreign }) }, /failed to get volume/);
    await refused({ imageRef: imageId, ...v2({ ...volume, uuid: used }) }, /status must be available/);
    await refused({ imageRef: imageId, ...v2({ ...volume, boot_index: 0 }) }, /Boot sequence/);
    await refused({ imageRef: imageId, ...v2({ ...volume, boot_index: 2 }) }, /Boot sequence/);
    await refused({ imageRef: imageId, ...v2(volume, volume) }, /twice/);
    await refused(v2(volume), /Boot sequence/);
    await refused({ imageRef: imageId, ...v2(blank) }, /non-zero size/);
    await refused(v2({ ...image, boot_index: 0 }), /non-zero size/);
    await refused(v2({ ...image, boot_index: 0, volume_size: 1 }), /smaller than the minimum/);
    await refused(
      { imageRef: imageId, ...v2({ ...blank, destination_type: "local", volume_size: 1 }) },
      /blank to local/,
    );
    await refused({ imageRef: imageId, ...v2({ ...local(), boot_index: 1 }) }, /image to local/);
    await refused({ imageRef: imageId, ...v2({ source_type: "snapshot", uuid: NOBODY }) }, /failed to get snapshot/);
    await refused({ imageRef: imageId, min_count: 2, ...v2(volume) }, /multiple instances/);
    await refused({ imageRef: imageId, block_device_mapping: [{ volume_id: id }], ...v2(volume) }, /syntaxes/);
    assert.equal((await world.volume(id)).status, "available");
  });
});
