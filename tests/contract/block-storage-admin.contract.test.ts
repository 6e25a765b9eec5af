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
});
