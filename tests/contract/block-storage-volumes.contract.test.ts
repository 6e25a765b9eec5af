import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

type Shown = Readonly<Record<string, unknown>>;

describe("volumes, as both clients see them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
  });
  after(() => cloud.dispose());

  const show = (name: string, user = admin): Promise<Shown> => user.volumeJson(`volume show ${name}`);
  const settled = (name: string, status = "available") =>
    until(
      `${name} ${status}`,
      () => show(name),
      (volume) => volume.status === status,
    );
  const gone = (id: string) =>
    until(
      `${id} gone`,
      () => admin.ask("GET", `/volumes/${id}`, { root: "/volume/v3" }),
      ({ status }) => status === 404,
    );
  const held = () => cloud.simulation.storage.leftovers();

  it("types send them to their backend, and replicate them", async () => {
    await admin.volume(
      "volume type create --property volume_backend_name=replicated --property 'replication_enabled=<is> True' mirrored",
    );
    const type = await admin.volumeJson("volume type show mirrored");
    assert.equal(type.properties.volume_backend_name, "replicated");
    assert.match(await member.cinder("type-list"), /mirrored/);
    assert.match(await member.cinder("type-default"), /__DEFAULT__/);
    await member.cinder("create --name m1 --volume-type mirrored 2");
    const { id } = await member.volumeJson("volume show m1");
    const shown = await settled(id);
    assert.deepEqual(
      [shown["os-vol-host-attr:host"], shown.replication_status],
      ["host-3@replicated#replicated", "enabled"],
    );
    assert.deepEqual(held(), [`volume replicated/${id}`]);
    assert.notEqual((await admin.tryVolume("volume type delete mirrored")).code, 0);
    await member.volume(`volume delete ${id}`);
    await gone(id);
    assert.deepEqual(held(), []);
    await admin.volume("volume type delete mirrored");
  });

  it("are made in the cluster, listed, changed, extended and deleted", async () => {
    const { id } = await member.volumeJson("volume create --size 1 --description text --property a=b data");
    const made = await settled(id);
    assert.equal(made["os-vol-host-attr:host"], "host-1@shared#shared");
    assert.match(await admin.cinder(`show ${id}`), /cluster_name +\| pileus@shared#shared/);
    await member.volume(`volume set --name other --property x=y --bootable ${id}`);
    await member.volume(`volume unset --property a ${id}`);
    const changed = await show(id, member);
    assert.deepEqual([changed.name, changed.properties, changed.bootable], ["other", { x: "y" }, "true"]);
    const listed = await member.volumeJson("volume list --name other --status available");
    assert.deepEqual(
      listed.map((volume: Shown) => [volume.ID, volume.Size]),
      [[id, 1]],
    );
    assert.match(await member.cinder("list --filters name~=oth"), new RegExp(id));
    assert.deepEqual(await cloud.stranger.volumeJson("volume list"), []);
    await member.cinder(`extend ${id} 3`);
    await until(
      "extended",
      () => show(id),
      (volume) => volume.size === 3 && volume.status === "available",
    );
    const smaller = await member.tryVolume(`volume set --size 2 ${id}`);
    assert.notEqual(smaller.code, 0);
    await member.volume(`volume delete ${id}`);
    await gone(id);
    assert.deepEqual(held(), []);
  });

  it("that cannot be placed end in error with a message, and go by reset or by force", async () => {
    await admin.volume("quota set --gigabytes 100000 lab");
    const { id } = await member.volumeJson("volume create --size 5000 huge");
    await settled(id, "error");
    assert.match(await member.cinder("message-list"), /Could not find any available weighted backend/);
    const told = await member.volumeJson("volume message list");
    assert.equal(told[0]["Resource UUID"], id);
    await admin.volume(`volume set --state available ${id}`);
    assert.equal((await show(id)).status, "available");
    assert.notEqual((await member.tryVolume(`volume delete --force ${id}`)).code, 0);
    await admin.volume(`volume delete --force ${id}`);
    await gone(id);
  });

  it("keep to the quota", async () => {
    await admin.volume("quota set --volumes 0 other");
    const refused = await cloud.stranger.tryVolume("volume create --size 1 more");
    assert.match(refused.stderr, /413/);
    assert.match(await cloud.stranger.cinder("absolute-limits"), /maxTotalVolumes +\| 0/);
    assert.match(await admin.cinder(`quota-usage ${cloud.stranger.projectId}`), /gigabytes/);
  });
});
