import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

type Shown = Readonly<Record<string, unknown>>;

describe("volumes of servers, as the official clients see them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let member: CloudUser;
  let flavor = "";
  before(async () => {
    cloud = await simulatedCloud();
    ({ member } = cloud);
    flavor = "m1.tiny";
  });
  after(() => cloud.dispose());

  const volumeIs = (id: string, status: string): Promise<Shown> =>
    until(
      `volume ${id} ${status}`,
      () => member.volumeJson(`volume show ${id}`),
      (shown: Shown) => shown.status === status,
    );
  const volume = async (name: string, more = ""): Promise<string> => {
    const { id } = await member.volumeJson(`volume create --size 1 ${more} ${name}`);
    await volumeIs(id, "available");
    return id;
  };
  const server = async (name: string, what = "--image pileus-guest"): Promise<string> => {
    const made = await member.json(`server create --wait --flavor ${flavor} --network private ${what} ${name}`);
    assert.equal(made.status, "ACTIVE", JSON.stringify(made.fault));
    return made.id;
  };
  const remove = (id: string) => member.openstack(`server delete --wait ${id}`);
  const refused = async (run: Promise<{ code: number; stderr: string }>, message: RegExp) => {
    const { code, stderr } = await run;
    assert.notEqual(code, 0);
    assert.match(stderr, message);
  };

  it("are added, listed, shown and removed with openstack", async () => {
    const [id, data] = [await server("one"), await volume("data")];
    await member.openstack(`server add volume ${id} ${data}`);
    const shown = await volumeIs(data, "in-use");
    const [attachment] = shown.attachments as Shown[];
    assert.deepEqual([attachment?.server_id, attachment?.device], [id, "/dev/vdb"]);
    const [listed] = await member.json(`server volume list ${id}`, "2.89");
    assert.deepEqual([listed["Volume ID"], listed["Server ID"], listed.Device], [data, id, "/dev/vdb"]);
    assert.match(JSON.stringify(await member.json(`server show ${id}`)), new RegExp(data));
    await refused(member.try(`server add volume ${id} ${data}`), /status must be available/);
    await refused(member.tryVolume(`volume delete ${data}`), /attached|must be/);
    await member.openstack(`server remove volume ${id} ${data}`);
    await volumeIs(data, "available");
    assert.deepEqual(await member.json(`server volume list ${id}`), []);
    await refused(member.try(`server remove volume ${id} ${data}`), /not attached|No volume/i);
    await remove(id);
    await member.volume(`volume delete ${data}`);
  });

  it("are attached and detached with nova, tagged and going with the server", async () => {
    const [id, data] = [await server("two"), await volume("data")];
    await member.nova(`volume-attach --tag disk --delete-on-termination ${id} ${data}`);
    await volumeIs(data, "in-use");
    assert.match(await member.nova(`volume-attachments ${id}`), new RegExp(`/dev/vdb.*${data}`));
    await member.nova(`volume-detach ${id} ${data}`);
    await volumeIs(data, "available");
    await member.nova(`volume-attach --delete-on-termination ${id} ${data}`);
    await volumeIs(data, "in-use");
    await remove(id);
    await until(
      "the volume is gone",
      () => member.ask("GET", `/volumes/${data}`, { root: "/volume/v3" }),
      ({ status }) => status === 404,
    );
  });

  it("are what servers boot from", async () => {
    const boot = await volume("boot", "--image pileus-guest");
    const id = await server("three", `--volume ${boot}`);
    assert.equal((await member.json(`server show ${id}`)).image, "N/A (booted from volume)");
    await volumeIs(boot, "in-use");
    await refused(member.try(`server remove volume ${id} ${boot}`), /root device/);
    await remove(id);
    await volumeIs(boot, "available");
    await member.volume(`volume delete ${boot}`);
  });

  it("are made for new servers", async () => {
    const id = await server(
      "four",
      "--image pileus-guest --boot-from-volume 2 --block-device source_type=blank,destination_type=volume,volume_size=1,delete_on_termination=true",
    );
    const attached = await member.json(`server volume list ${id}`);
    assert.deepEqual(
      attached.map((one: Shown) => one.Device),
      ["/dev/vda", "/dev/vdb"],
    );
    await remove(id);
    const [root, data] = attached.map((one: Shown) => String(one["Volume ID"]));
    await volumeIs(root, "available");
    await member.volume(`volume delete ${root}`);
    await until(
      "the data volume is gone",
      () => member.ask("GET", `/volumes/${data}`, { root: "/volume/v3" }),
      ({ status }) => status === 404,
    );
  });

  it("move with their servers", async () => {
    const { admin } = cloud;
    const data = await volume("data");
    const id = await server("five", `--image pileus-guest --block-device source_type=volume,uuid=${data}`);
    const host = async () => (await admin.json(`server show ${id}`))["OS-EXT-SRV-ATTR:host"];
    const before = await host();
    await admin.openstack(`server migrate --live-migration --wait ${id}`, "2.30");
    assert.notEqual(await host(), before);
    const shown = await admin.volumeJson(`volume show ${data}`);
    assert.equal(shown.attachments[0].host_name, await host());
    assert.equal(shown.status, "in-use");
    await remove(id);
    await volumeIs(data, "available");
    await member.volume(`volume delete ${data}`);
  });

  it("are attached by others with cinder and openstack", async () => {
    const [client, data] = [await server("client"), await volume("data")];
    const made = await member.volumeJson(
      `volume attachment create ${data} ${client} --connect --host client --ip 192.0.2.1 --mountpoint /dev/vdb`,
      "3.54",
    );
    const id = made.ID ?? made.id;
    await volumeIs(data, "attaching");
    await member.volume(`volume attachment complete ${id}`, "3.54");
    await volumeIs(data, "in-use");
    const [listed] = await member.volumeJson("volume attachment list", "3.54");
    assert.deepEqual([listed.ID, listed["Volume ID"]], [id, data]);
    assert.match(JSON.stringify(await member.volumeJson(`volume attachment show ${id}`, "3.54")), /nbd/);
    assert.match(await member.cinder("attachment-list"), new RegExp(id));
    assert.match(await member.cinder(`attachment-show ${id}`), /driver_volume_type/);
    await member.volume(`volume attachment delete ${id}`, "3.54");
    await volumeIs(data, "available");
    const text = await member.cinder(`attachment-create --connect True --host client ${data} ${client}`);
    const [again] = /[0-9a-f-]{36}/.exec(text.slice(text.indexOf("| id"))) ?? [];
    await member.cinder(`attachment-complete ${again}`);
    await volumeIs(data, "in-use");
    await member.cinder(`attachment-delete ${again}`);
    await volumeIs(data, "available");
    await remove(client);
    await member.volume(`volume delete ${data}`);
  });

  it("are Compute's to take away, whoever asks", async () => {
    const [id, data] = [await server("six"), await volume("data")];
    await member.openstack(`server add volume ${id} ${data}`);
    await volumeIs(data, "in-use");
    const [attachment] = await member.volumeJson("volume attachment list", "3.54");
    await refused(cloud.admin.tryVolume(`volume attachment delete ${attachment.ID}`, "3.54"), /Compute API/);
    await remove(id);
    await volumeIs(data, "available");
    await member.volume(`volume delete ${data}`);
  });

  it("are what openstacksdk expects", async () => {
    const result = await member.sdk(`
server = cloud.create_server("sdk", image="pileus-guest", flavor="m1.tiny", network="private", wait=True)
volume = cloud.create_volume(1, name="sdk", wait=True)
cloud.attach_volume(server, volume, wait=True)
seen = {"attached": cloud.get_volume(volume.id).status}
seen["listed"] = [(a.volume_id == volume.id, a.device) for a in cloud.compute.volume_attachments(server.id)]
seen["devices"] = cloud.get_volume_attach_device(cloud.get_volume(volume.id), server.id)
cloud.detach_volume(server, volume, wait=True)
seen["detached"] = cloud.get_volume(volume.id).status
boot = cloud.create_server("boot", image="pileus-guest", flavor="m1.tiny", network="private", boot_from_volume=True,
    volume_size=1, terminate_volume=True, wait=True)
seen["boots"] = [boot.status, len(boot.attached_volumes)]
seen["deleted"] = [cloud.delete_server("boot", wait=True), cloud.delete_server("sdk", wait=True)]
seen["volume"] = cloud.delete_volume(volume.id, wait=True)
result = seen`);
    assert.deepEqual(result, {
      attached: "in-use",
      listed: [[true, "/dev/vdb"]],
      devices: "/dev/vdb",
      detached: "available",
      boots: ["ACTIVE", 1],
      deleted: [true, true],
      volume: true,
    });
  });

  it("leave nothing behind", async () => {
    await until(
      "the arrays are empty",
      async () => cloud.simulation.storage.leftovers(),
      (left) => left.length === 0,
    );
    assert.deepEqual(cloud.simulation.world.leftovers().volumes, []);
    assert.deepEqual(cloud.simulation.world.violations, []);
  });
});
