import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

/** From 3.66 on the installed client sends an option that it then refuses itself. */
const FORCE_KNOWN = "3.65";

type Shown = Readonly<Record<string, unknown>>;

describe("snapshots and copies, as both clients see them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
  });
  after(() => cloud.dispose());

  const settled = (kind: "volume" | "volume snapshot", id: string): Promise<Shown> =>
    until(
      `${kind} ${id} available`,
      () => member.volumeJson(`${kind} show ${id}`),
      (shown: Shown) => shown.status === "available",
    );
  const gone = (path: string) =>
    until(
      `${path} gone`,
      () => admin.ask("GET", path, { root: "/volume/v3" }),
      ({ status }) => status === 404,
    );

  it("are taken, listed, changed, restored from, and deleted", async () => {
    const { id: volume } = await member.volumeJson("volume create --size 2 source");
    await settled("volume", volume);
    const { id } = await member.volumeJson(
      `volume snapshot create --volume ${volume} --property a=b first`,
      FORCE_KNOWN,
    );
    await settled("volume snapshot", id);
    await member.volume(`volume snapshot set --name second --property c=d ${id}`);
    await member.volume(`volume snapshot unset --property a ${id}`);
    const shown = await member.volumeJson(`volume snapshot show ${id}`);
    assert.deepEqual([shown.name, shown.properties, shown.size, shown.volume_id], ["second", { c: "d" }, 2, volume]);
    const listed = await member.volumeJson(`volume snapshot list --volume ${volume}`);
    assert.deepEqual(
      listed.map((snapshot: Shown) => snapshot.ID),
      [id],
    );
    assert.match(await member.cinder("snapshot-list"), /second/);
    assert.notEqual((await member.tryVolume(`volume delete ${volume}`)).code, 0);
    const restored = (await member.volumeJson(`volume create --snapshot ${id} --size 3 restored`)).id;
    assert.equal((await settled("volume", restored)).snapshot_id, id);
    const copied = (await member.volumeJson(`volume create --source ${volume} copied`)).id;
    assert.equal((await settled("volume", copied)).source_volid, volume);
    await member.volume(`volume snapshot delete ${id}`);
    await gone(`/snapshots/${id}`);
    const { id: again } = await member.volumeJson(`volume snapshot create --volume ${volume} third`, FORCE_KNOWN);
    await settled("volume snapshot", again);
    await member.cinder(`delete --cascade ${volume}`);
    await member.cinder(`delete ${restored} ${copied}`);
    for (const each of [volume, restored, copied]) await gone(`/volumes/${each}`);
    assert.deepEqual(cloud.simulation.storage.leftovers(), []);
  });

  it("are reset and deleted by force", async () => {
    const { id: volume } = await member.volumeJson("volume create --size 1 other");
    await settled("volume", volume);
    const { id } = await member.volumeJson(`volume snapshot create --volume ${volume} forced`, FORCE_KNOWN);
    await settled("volume snapshot", id);
    await admin.cinder(`snapshot-reset-state --state error_deleting ${id}`);
    assert.notEqual((await member.tryVolume(`volume snapshot delete ${id}`)).code, 0);
    await admin.volume(`volume snapshot delete --force ${id}`);
    await gone(`/snapshots/${id}`);
  });

  it("volumes are made from images, bootable, with the image's facts", async () => {
    const [image] = await member.json("image list");
    const { id } = await member.volumeJson(`volume create --size 1 --image ${image.ID} boot`);
    const shown = await settled("volume", id);
    assert.equal(String(shown.bootable), "true");
    assert.equal((shown.volume_image_metadata as Shown).image_id, image.ID);
    await member.cinder(`image-metadata ${id} set os_type=linux`);
    assert.match(await member.cinder(`image-metadata-show ${id}`), /os_type +\| linux/);
    const nothing = await member.tryVolume("volume create --size 1 --image 00000000-0000-4000-8000-000000000000 none");
    assert.notEqual(nothing.code, 0);
  });
});
