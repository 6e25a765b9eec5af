import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type DiskClient, WriteStream } from "../../agent/conformance/block-storage-environment.ts";
import { addressOf } from "../../agent/drivers/block-storage/sim/sim-pool.ts";
import { CloudServers, until } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

type Shown = Readonly<Record<string, unknown>>;

const REPLICATED = "host-3@replicated#replicated";
const SHARED = "host-1@shared#shared";

describe("volumes under running servers, with the official clients", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
    servers = new CloudServers(admin);
    await admin.volume("volume type create --property volume_backend_name=shared on-shared");
  });
  after(() => cloud.dispose());

  const seen = (id: string, what: string, so: (shown: Shown) => boolean): Promise<Shown> =>
    until(`volume ${id} ${what}`, () => admin.volumeJson(`volume show ${id}`), so);
  const status = (id: string, wanted: string) => seen(id, wanted, (shown) => shown.status === wanted);

  /** A server with a volume of one GiB, and a guest that writes to it until it is told to stop. */
  const givenAttached = async () => {
    const { id: volumeId } = await member.volumeJson("volume create --size 1 --type on-shared disk");
    await status(volumeId, "available");
    const { id: serverId } = await servers.boot({}, member);
    await member.openstack(`server add volume ${serverId} ${volumeId}`);
    await status(volumeId, "in-use");
    const { storage } = cloud.simulation;
    const address = addressOf(volumeId);
    const signal = AbortSignal.timeout(120_000);
    const disk: DiskClient = {
      write: (offset, data) => storage.write(address, offset, data, signal),
      read: (offset, length) => storage.read(address, offset, length, signal),
      size: () => storage.size(address, signal),
      close: () => {},
    };
    return { volumeId, serverId, disk, stream: new WriteStream(disk) };
  };
  /** The volume on its way to the other backend: it arrives when `held` is released. */
  const givenArriving = async (volumeId: string) => {
    await member.volume(`volume set --type __DEFAULT__ ${volumeId}`);
    await status(volumeId, "in-use");
    const held = cloud.simulation.storage.faults.add({ verb: "volume.finishCopy", fault: { type: "hang" } });
    await admin.volume(`volume migrate --host ${REPLICATED} ${volumeId}`);
    const moving = await seen(volumeId, "arriving", (shown) => shown.migration_status === "completing");
    return { held, moving };
  };
  const more = async (stream: WriteStream) => {
    const { acknowledged } = stream;
    await until(
      "more writes",
      async () => stream.acknowledged,
      (now) => now > acknowledged + 20,
    );
  };
  const copies = (volumeId: string) => cloud.simulation.storage.leftovers().filter((thing) => thing.includes(volumeId));
  const giveBack = async (serverId: string, volumeId: string) => {
    await member.openstack(`server remove volume ${serverId} ${volumeId}`);
    await status(volumeId, "available");
    await member.openstack(`server delete --wait ${serverId}`);
    await member.volume(`volume delete ${volumeId}`);
    await until(
      "nothing left",
      async () => copies(volumeId),
      (left) => left.length === 0,
    );
  };

  it("a volume migrates under its server, which loses no write, there and back", async () => {
    const { volumeId, serverId, stream } = await givenAttached();
    const { held, moving } = await givenArriving(volumeId);
    assert.equal(moving.status, "in-use");
    await more(stream);
    for (const command of [`server migrate --live-migration ${serverId}`, `server migrate ${serverId}`])
      assert.match((await admin.try(command)).stderr, /409/, command);
    assert.match((await member.try(`server remove volume ${serverId} ${volumeId}`)).stderr, /400/);
    held.release();
    const there = await seen(volumeId, "moved", (shown) => shown.migration_status === "success");
    assert.deepEqual([there.status, there["os-vol-host-attr:host"]], ["in-use", REPLICATED]);
    await more(stream);
    await until(
      "one copy",
      async () => copies(volumeId),
      (left) => left.length === 1,
    );
    assert.deepEqual(copies(volumeId), [`volume replicated/${volumeId}`]);
    assert.equal((await servers.show(serverId)).status, "ACTIVE");
    await admin.cinder(`migrate ${volumeId} ${SHARED}`);
    await seen(volumeId, "back", (shown) => String(shown["os-vol-host-attr:host"]).includes("@shared"));
    await seen(volumeId, "still", (shown) => shown.migration_status === "success");
    await more(stream);
    assert.ok((await stream.verify()) > 60);
    await admin.openstack(`server migrate --live-migration --wait ${serverId}`);
    await servers.settled(serverId, "ACTIVE");
    await giveBack(serverId, volumeId);
  });

  it("a server is deleted while its volume migrates, which arrives all the same and is free then", async () => {
    const { volumeId, serverId, stream } = await givenAttached();
    const { held } = await givenArriving(volumeId);
    await stream.verify();
    await member.openstack(`server delete --wait ${serverId}`);
    const { operations } = (
      await admin.ask("GET", `/operations?resource_id=${serverId}&name=server.release_volume`, { root: "/v1" })
    ).body;
    assert.equal(operations[0].detail.waiting_for_volume, volumeId);
    assert.equal((await admin.volumeJson(`volume show ${volumeId}`)).status, "in-use");
    held.release();
    await status(volumeId, "available");
    const there = await seen(volumeId, "moved", (shown) => shown.migration_status === "success");
    assert.equal(there["os-vol-host-attr:host"], REPLICATED);
    await member.volume(`volume delete ${volumeId}`);
    await until(
      "nothing left",
      async () => copies(volumeId),
      (left) => left.length === 0,
    );
  });

  it("a migration that fails at its end leaves the volume under its server, with every write", async () => {
    const { volumeId, serverId, stream } = await givenAttached();
    const { held } = await givenArriving(volumeId);
    const [operation] = (
      await admin.ask("GET", `/operations?resource_id=${volumeId}&name=volume.migrate`, { root: "/v1" })
    ).body.operations;
    assert.equal((await admin.ask("POST", `/operations/${operation.id}/cancel`, { root: "/v1" })).status, 202);
    held.release();
    const shown = await seen(volumeId, "failed", (now) => now.migration_status === "error");
    assert.equal(shown.status, "in-use");
    await more(stream);
    await stream.verify();
    await until(
      "one copy",
      async () => copies(volumeId),
      (left) => left.length === 1,
    );
    await giveBack(serverId, volumeId);
  });

  it("a volume grows under its server, whose guest is told", async () => {
    const { volumeId, serverId, disk, stream } = await givenAttached();
    assert.match((await member.tryCinder(`extend ${volumeId} 3`, "3.41")).stderr, /400/);
    await member.volume(`volume set --size 3 ${volumeId}`, "3.42");
    const shown = await seen(volumeId, "grown", ({ size, status: now }) => size === 3 && now === "in-use");
    assert.equal(shown.size, 3);
    const host = cloud.simulation.world.host(await servers.host(serverId));
    await until(
      "the guest's new size",
      async () => host?.guests.get(serverId)?.volumeSizes.get(volumeId),
      (bytes) => bytes === 3 * 1024 ** 3,
    );
    assert.equal(await disk.size(), 3 * 1024 ** 3);
    await more(stream);
    await stream.verify();
    await giveBack(serverId, volumeId);
  });
});
