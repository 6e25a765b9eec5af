import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { verifyBlocks, WriteStream } from "../../agent/conformance/block-storage-environment.ts";
import { NbdClient } from "../../agent/drivers/block-storage/file-nbd/testing/nbd-client.ts";
import type { Connection } from "../../agent/protocol/connection.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { RealArray } from "./support/real-arrays.ts";
import { RealCloud, until, whyNoRealCloud } from "./support/real-cloud.ts";

/** Far more than anything takes; a machine that builds at the same time is slow. */
const LIMIT_MS = 180_000;
const GIB = 1024 ** 3;
const REPLICATED = "host-3@replicated";
const BLOCK = { root: "/volume/v3", headers: { "openstack-api-version": "volume 3.70" } };

type Shown = Readonly<Record<string, unknown>>;

/**
 * Volumes live through everything while somebody outside the cloud has them attached and writes a stream of blocks, each when
 * the one before is acknowledged. Nothing that was acknowledged may be lost.
 */
describe("the life of volumes on real hosts, with the official clients", { skip: await whyNoRealCloud() }, () => {
  let cloud: RealCloud;
  let admin: CloudUser;
  const clients: NbdClient[] = [];

  before(async () => {
    cloud = await RealCloud.start();
    ({ admin } = cloud);
    await admin.volume("volume type create plain");
    await admin.volume(
      "volume type create --property volume_backend_name=replicated --property 'replication_enabled=<is> True' mirrored",
    );
  });
  after(async () => {
    for (const client of clients) client.close();
    await cloud?.dispose();
  });

  const show = async (id: string): Promise<Shown> => (await admin.ask("GET", `/volumes/${id}`, BLOCK)).body.volume;
  const untilVolume = async (id: string, what: string, fits: (volume: Shown) => boolean): Promise<Shown> => {
    let seen = await show(id);
    await until(`the volume is ${what}`, LIMIT_MS, async () => {
      seen = await show(id);
      return fits(seen);
    });
    return seen;
  };
  const create = async (command: string): Promise<string> => {
    const { id } = await admin.volumeJson(`volume create ${command}`);
    await untilVolume(id, "available", ({ status }) => status === "available");
    return id;
  };
  /** In the cluster: the other backend takes nothing new meanwhile. */
  const createShared = async (command: string): Promise<string> => {
    await admin.volume(`volume service set --disable ${REPLICATED} cinder-volume`);
    const id = await create(command);
    await admin.volume(`volume service set --enable ${REPLICATED} cinder-volume`);
    return id;
  };
  /** Waits until the volume has moved to that backend; fails at once when it did not. */
  const untilMoved = async (id: string, to: string) => {
    await untilVolume(id, `on ${to}`, ({ migration_status, ...volume }) => {
      assert.notEqual(migration_status, "error");
      return migration_status === "success" && String(volume["os-vol-host-attr:host"]).endsWith(to);
    });
  };
  /** By the API that is meant for clients without Compute; returns the attachment and the volume's address. */
  const attach = async (id: string) => {
    const connector = { host: "outside", initiator: "iqn.outside" };
    const asked = { attachment: { volume_uuid: id, connector, instance_uuid: null } };
    const { status, body } = await admin.ask("POST", "/attachments", { ...BLOCK, body: asked });
    assert.equal(status, 200, JSON.stringify(body));
    const attachment: string = body.attachment.id;
    const done = await admin.ask("POST", `/attachments/${attachment}/action`, {
      ...BLOCK,
      body: { "os-complete": {} },
    });
    assert.equal(done.status, 204);
    return { attachment, client: clientOf(body.attachment.connection_info as Connection) };
  };
  const detach = async (attachment: string) => {
    const { status, body } = await admin.ask("DELETE", `/attachments/${attachment}`, BLOCK);
    assert.equal(status, 200, JSON.stringify(body));
  };
  const clientOf = (target: Connection): NbdClient => {
    const client = new NbdClient(target, LIMIT_MS);
    clients.push(client);
    return client;
  };
  const more = async (stream: WriteStream, blocks = 50) => {
    const before = stream.acknowledged;
    await until(`${blocks} more blocks are written`, LIMIT_MS, async () => stream.acknowledged >= before + blocks);
  };

  it("of a cluster: extended, snapshotted, its daemon killed and left by its agents under writes; then moved to another backend", async () => {
    const id = await createShared("--size 1 --type plain stream");
    const { attachment, client } = await attach(id);
    const stream = new WriteStream(client);
    await more(stream);

    await admin.volume(`volume set --size 2 ${id}`);
    await untilVolume(id, "larger", ({ status, size }) => status === "in-use" && size === 2);
    await more(stream);
    const again = clientOf({ ...(await connectionOf(attachment)) });
    assert.equal(await again.size(), 2 * GIB);

    const before = stream.acknowledged;
    const { id: snapshot } = await admin.volumeJson(`volume snapshot create --force --volume ${id} moment`);
    await until("the snapshot is available", LIMIT_MS, async () => {
      const { body } = await admin.ask("GET", `/snapshots/${snapshot}`, BLOCK);
      return body.snapshot.status === "available";
    });
    await more(stream);
    const copy = await create(`--size 2 --snapshot ${snapshot} copy`);
    const copied = await attach(copy);
    await verifyBlocks(copied.client, before);
    copied.client.close();
    await detach(copied.attachment);

    const shared = new RealArray(cloud, "shared");
    assert.ok((await shared.kill()) > 0);
    // Nobody is told: an agent finds it by itself.
    await more(stream);
    const serving = await shared.daemons();
    for (const member of ["host-1", "host-2"]) await cloud.kill(member);
    await more(stream);
    for (const member of ["host-1", "host-2"]) await cloud.startAgent(member);
    for (const member of ["host-1", "host-2"]) await cloud.untilUp(member);
    assert.deepEqual(await shared.daemons(), serving, "what serves the volume has outlived the agents");
    await more(stream);

    const written = await stream.verify();
    client.close();
    again.close();
    await detach(attachment);
    await admin.volume(`volume snapshot delete ${snapshot}`);
    await until("the snapshot is gone", LIMIT_MS, async () => {
      return (await admin.ask("GET", `/snapshots/${snapshot}`, BLOCK)).status === 404;
    });
    await admin.volume(`volume migrate --host ${REPLICATED}#replicated ${id}`);
    await untilMoved(id, `${REPLICATED}#replicated`);
    const back = await attach(id);
    await verifyBlocks(back.client, written);
    back.client.close();
    await detach(back.attachment);
    for (const one of [copy, id]) await admin.volume(`volume delete ${one}`);
  });

  it("of a replicated backend: its array dies and fails over under writes, and fails back", async () => {
    const id = await create("--size 1 --type mirrored mirrored");
    const { attachment, client } = await attach(id);
    const stream = new WriteStream(client);
    await until("the second copy is in sync", LIMIT_MS, () => new RealArray(cloud, "second").mirrors(id));
    await more(stream);

    assert.ok((await new RealArray(cloud, "replicated").kill()) > 0);
    await admin.cinder(`failover-host ${REPLICATED} --backend_id second`);
    const away = await untilVolume(id, "failed over", ({ replication_status }) => replication_status === "failed-over");
    assert.equal(away.status, "in-use");
    assert.deepEqual(await serviceState(), ["disabled", "failed-over", "failed-over", "second"]);
    await more(stream);

    await admin.cinder(`failover-host ${REPLICATED} --backend_id default`);
    await untilVolume(id, "at home", ({ replication_status }) => replication_status === "enabled");
    const [, , status] = await serviceState();
    assert.equal(status, "enabled");
    await more(stream);
    assert.ok((await stream.verify()) > 200);
    client.close();
    await detach(attachment);
    await admin.volume(`volume delete ${id}`);
  });

  const connectionOf = async (attachment: string): Promise<Connection> =>
    (await admin.ask("GET", `/attachments/${attachment}`, BLOCK)).body.attachment.connection_info;

  const serviceState = async (): Promise<unknown[]> => {
    const { body } = await admin.ask("GET", `/os-services?host=${REPLICATED}`, BLOCK);
    const [service] = body.services;
    return [service.status, service.disabled_reason, service.replication_status, service.active_backend_id];
  };
});
