import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SimDisk } from "../../agent/drivers/block-storage/sim/sim-disk.ts";
import type { SimPool } from "../../agent/drivers/block-storage/sim/sim-pool.ts";
import { until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

type Shown = Readonly<Record<string, unknown>>;

const SHARED = "pileus@shared";
const REPLICATED = "host-3@replicated";
const GIB = 1024 ** 3;

describe("what administrators do with volumes, with the official clients", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
  });
  after(() => cloud.dispose());

  const settled = (id: string, so = (shown: Shown) => shown.status === "available"): Promise<Shown> =>
    until(`volume ${id}`, () => admin.volumeJson(`volume show ${id}`), so);
  const gone = (id: string) =>
    until(
      `${id} gone`,
      () => admin.ask("GET", `/volumes/${id}`, { root: "/volume/v3" }),
      ({ status }) => status === 404,
    );
  const pool = (backend: string): SimPool => {
    for (const each of cloud.simulation.storage.pools()) if (each.backend === backend) return each;
    throw new Error(`no backend ${backend}`);
  };
  /** Data of nobody, with something recognizable in it. */
  const givenData = (reference: string, text: string): void => {
    const disk = new SimDisk();
    disk.write(0, Buffer.from(text));
    pool("replicated").stray.set(reference, { disk, bytes: 2 * GIB - 5 });
  };
  /** Id in what the cinder client prints of a volume. */
  const idIn = (printed: string): string => /\| id +\| ([0-9a-f-]{36})/.exec(printed)?.[1] ?? assert.fail(printed);

  it("cinder manageable-list, manage, unmanage", async () => {
    givenData("found.raw", "found");
    const listed = await admin.cinder(`manageable-list --detailed True ${REPLICATED}`);
    assert.match(listed, /found\.raw.*\| 2 +\| True/);
    const id = idIn(await admin.cinder(`manage --name kept --metadata a=b ${REPLICATED} found.raw`));
    const shown = await settled(id);
    assert.deepEqual(
      [shown.name, shown.size, shown.properties, shown["os-vol-host-attr:host"]],
      ["kept", 2, { a: "b" }, `${REPLICATED}#replicated`],
    );
    assert.equal(pool("replicated").volume(id).disk.read(0, 5).toString(), "found");
    assert.match(await admin.cinder(`manageable-list ${REPLICATED}`), /already managed|False/);
    await admin.cinder(`unmanage ${id}`);
    await gone(id);
    assert.deepEqual([...pool("replicated").stray.keys()], [`${id}.raw`]);
    const again = idIn(await admin.cinder(`manage --id-type source-name ${REPLICATED} ${id}.raw`));
    assert.notEqual(again, id);
    await settled(again);
    await admin.volume(`volume delete ${again}`);
    await gone(again);
    assert.deepEqual(cloud.simulation.storage.leftovers(), []);
  });

  it("cinder manage of what is not there, and refusals", async () => {
    const id = idIn(await admin.cinder(`manage ${REPLICATED} nothing.raw`));
    await settled(id, (shown) => shown.status === "error");
    assert.match(await admin.cinder("message-list"), /manage existing volume/);
    await admin.volume(`volume delete ${id}`);
    await gone(id);
    assert.match((await admin.tryCinder("manage nowhere@x some.raw")).stderr, /503/);
    assert.match((await member.tryCinder(`manage ${REPLICATED} some.raw`)).stderr, /403/);
    assert.match((await admin.tryCinder(`manage --volume-type nonsense ${REPLICATED} some.raw`)).stderr, /400/);
    assert.match((await member.tryCinder(`manageable-list ${REPLICATED}`)).stderr, /403/);
    assert.match(await admin.cinder(`manageable-list --cluster ${SHARED}`), /reference/);
  });

  /** A volume of one GiB at the shared backend that holds this text. */
  const givenVolume = async (name: string, text: string, options = ""): Promise<string> => {
    const { id } = await member.volumeJson(`volume create --size 1 ${options} ${name}`);
    const { "os-vol-host-attr:host": host } = await settled(id);
    pool(/@([^#]+)#/.exec(String(host))?.[1] ?? "")
      .volume(id)
      .disk.write(0, Buffer.from(text));
    return id;
  };
  const held = (backend: string, id: string): string => pool(backend).volume(id).disk.read(0, 5).toString();
  const moved = (id: string) => settled(id, (shown) => shown["os-vol-mig-status-attr:migstat"] === "success");
  const left = (id: string) =>
    until(
      `one copy of ${id}`,
      async () => cloud.simulation.storage.leftovers().filter((thing) => thing.includes(id)),
      (copies) => copies.length === 1,
    );

  it("openstack volume migrate, cinder migrate", async () => {
    const type = "--type __DEFAULT__";
    const id = await givenVolume("wanderer", "hello", type);
    const start = String((await settled(id))["os-vol-host-attr:host"]);
    const [backend, other] = start.includes("@shared") ? ["shared", "replicated"] : ["replicated", "shared"];
    const places: Record<string, string> = { shared: "host-1@shared#shared", replicated: `${REPLICATED}#replicated` };
    await admin.volume(`volume migrate --host ${places[other]} --lock-volume ${id}`);
    const there = await moved(id);
    assert.ok(String(there["os-vol-host-attr:host"]).endsWith(`@${other}#${other}`));
    assert.equal(there.migration_status, "success");
    assert.deepEqual(await left(id), [`volume ${other}/${id}`]);
    assert.equal(held(other, id), "hello");
    const { operations } = (
      await admin.ask("GET", `/operations?resource_id=${id}&name=volume.migrate`, { root: "/v1" })
    ).body;
    assert.deepEqual([operations[0].state, operations[0].percent], ["done", 100]);
    await admin.cinder(`migrate --force-host-copy False ${id} ${places[backend]}`);
    await settled(id, (shown) => String(shown["os-vol-host-attr:host"]).includes(`@${backend}#`));
    await moved(id);
    await left(id);
    assert.equal(held(backend, id), "hello");
    await member.volume(`volume delete ${id}`);
    await gone(id);
  });

  it("the progress of a migration shows in percent and bytes, and cancelling it leaves the volume where it was", async () => {
    const id = await givenVolume("slow", "still");
    const start = String((await settled(id))["os-vol-host-attr:host"]);
    const to = start.includes("@shared") ? REPLICATED : "host-1@shared";
    const held = cloud.simulation.storage.faults.add({ verb: "volume.finishCopy", fault: { type: "hang" } });
    await admin.cinder(`migrate ${id} ${to}`);
    const operation = await until(
      "the copy",
      async () =>
        (await admin.ask("GET", `/operations?resource_id=${id}&name=volume.migrate`, { root: "/v1" })).body
          .operations[0],
      (shown) => shown?.step === "finish-copy",
    );
    assert.ok(operation.detail.total === GIB && operation.detail.done <= GIB, JSON.stringify(operation.detail));
    assert.ok(operation.percent >= 80);
    assert.match((await member.tryVolume(`volume delete ${id}`)).stderr, /400/);
    assert.match((await member.tryCinder(`extend ${id} 2`)).stderr, /400/);
    assert.equal((await admin.ask("POST", `/operations/${operation.id}/cancel`, { root: "/v1" })).status, 202);
    held.release();
    const shown = await settled(id, (now) => now.migration_status === "error");
    assert.deepEqual([shown.status, shown["os-vol-host-attr:host"]], ["available", start]);
    await left(id);
    await member.volume(`volume delete ${id}`);
    await gone(id);
  });

  it("migrations that are refused", async () => {
    const id = await givenVolume("still", "still");
    const here = String((await settled(id))["os-vol-host-attr:host"]);
    assert.match((await admin.tryVolume(`volume migrate --host nowhere@x#x ${id}`)).stderr, /400/);
    assert.match((await admin.tryVolume(`volume migrate --host ${here} ${id}`)).stderr, /400/);
    assert.match((await member.tryVolume(`volume migrate --host ${here} ${id}`)).stderr, /403/);
    // This client says so, and exits as if all were well.
    assert.match(await admin.cinder(`migrate ${id} nowhere@x#x`), /failed.*400/);
    await member.volume(`volume snapshot create --volume ${id} kept`, "3.65");
    const elsewhere = here.includes("@shared") ? REPLICATED : "host-1@shared";
    assert.match(await admin.cinder(`migrate ${id} ${elsewhere}`), /failed.*400/);
    await member.cinder(`delete --cascade ${id}`);
    await gone(id);
  });

  it("openstack volume set --type, cinder retype", async () => {
    for (const backend of ["shared", "replicated"])
      await admin.volume(`volume type create --property volume_backend_name=${backend} on-${backend}`);
    const id = await givenVolume("changing", "types", "--type on-shared");
    await member.volume(`volume set --type on-replicated ${id}`);
    const stayed = await settled(id);
    assert.equal(stayed.type, "on-shared");
    assert.match(await member.cinder("message-list"), /retype volume/);
    await member.volume(`volume set --type on-replicated --retype-policy on-demand ${id}`);
    const changed = await settled(id, ({ type, status }) => type === "on-replicated" && status === "available");
    assert.deepEqual([changed["os-vol-host-attr:host"], changed.migration_status], [`${REPLICATED}#replicated`, null]);
    await left(id);
    assert.equal(held("replicated", id), "types");
    await member.cinder(`retype --migration-policy on-demand ${id} on-shared`);
    await settled(id, ({ type, status }) => type === "on-shared" && status === "available");
    await left(id);
    assert.match((await member.tryCinder(`retype ${id} on-shared`)).stderr, /400/);
    assert.match((await member.tryVolume(`volume set --type nonsense ${id}`)).stderr, /nonsense/);
    await member.volume(`volume delete ${id}`);
    await gone(id);
  });

  it("openstacksdk: migrate_volume, retype_volume, unmanage_volume", async () => {
    const id = await givenVolume("sdk", "bytes", "--type on-shared");
    const seen = await admin.sdk(`
import time
volume = cloud.block_storage
def settled(so):
    limit = time.time() + 30
    while time.time() < limit:
        seen = volume.get_volume("${id}")
        if so(seen):
            return seen
        time.sleep(0.05)
    raise Exception("not settled: %s" % seen)
volume.retype_volume("${id}", "on-replicated", migration_policy="on-demand")
retyped = settled(lambda v: v.volume_type == "on-replicated" and v.status == "available").host
volume.retype_volume("${id}", "__DEFAULT__")
settled(lambda v: v.volume_type == "__DEFAULT__" and v.status == "available")
volume.migrate_volume("${id}", host="host-1@shared#shared", lock_volume=True)
migrated = settled(lambda v: v.migration_status == "success" and v.status == "available").host
volume.unmanage_volume("${id}")
limit = time.time() + 30
while volume.find_volume("${id}") and time.time() < limit:
    time.sleep(0.05)
result = {"retyped": retyped, "migrated": migrated, "left": volume.find_volume("${id}") is not None}
`);
    assert.deepEqual(
      [seen.retyped, String(seen.migrated).split("@")[1], seen.left],
      [`${REPLICATED}#replicated`, "shared#shared", false],
    );
    assert.deepEqual([...pool("shared").stray.keys()], [`${id}.raw`]);
  });
});
