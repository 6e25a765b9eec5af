import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { RealArray } from "./support/real-arrays.ts";
import { RealCloud, until, whyNoRealCloud } from "./support/real-cloud.ts";

/** Far more than anything takes; a machine that builds at the same time is slow. */
const LIMIT_MS = 300_000;
const BLOCK = 4096;
const REPLICATED = "host-3@replicated";
const PLACES = { shared: "host-1@shared#shared", replicated: `${REPLICATED}#replicated` } as const;

/** Block after block with its own number in it, the next when the one before is on the disk. */
const WRITER = `i=0; while :; do
  printf '%-${BLOCK - 1}s\\n' $i | dd of=/dev/vdb bs=${BLOCK} count=1 seek=$i conv=fsync 2>/dev/null || exit 1
  echo $i > /tmp/acknowledged.new; mv /tmp/acknowledged.new /tmp/acknowledged; i=$((i+1)); done`;

type Shown = Readonly<Record<string, unknown>>;

/** One guest writes to its volume all the time, in this order. */
describe("a volume under a real guest, with the official clients", { skip: await whyNoRealCloud() }, () => {
  let cloud: RealCloud;
  let volume: string;
  let server: string;
  let host: string;
  let snapshot: string;
  /** The last block that was acknowledged before the snapshot was asked for. */
  let snapped: number;

  before(async () => {
    cloud = await RealCloud.start();
    await cloud.admin.volume(
      "volume type create --property volume_backend_name=replicated --property 'replication_enabled=<is> True' mirrored",
    );
  });
  after(async () => await cloud?.dispose());

  const run = (command: string): Promise<string> => cloud.sight(host).run(server, command);
  const show = (): Promise<Shown> => cloud.admin.volumeJson(`volume show ${volume}`);
  const shows = async (what: string, so: (shown: Shown) => boolean): Promise<Shown> => {
    let shown: Shown = {};
    await until(what, LIMIT_MS, async () => {
      shown = await show();
      if (shown.migration_status === "error" || String(shown.status).startsWith("error"))
        assert.fail(JSON.stringify(shown));
      return so(shown);
    });
    return shown;
  };
  const acknowledged = async (): Promise<number> => Number(await run("cat /tmp/acknowledged"));
  const more = async (): Promise<void> => {
    const before = await acknowledged();
    await until("more writes", LIMIT_MS, async () => (await acknowledged()) > before + 5);
  };
  /** Which arrays hold a disk of the volume; of the replicated backend the first. */
  const arrays = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const array of ["shared", "replicated"]) {
      const disk = join(cloud.stateDir, "volumes", array, "volumes", volume, "disk.raw");
      if (
        await access(disk).then(
          () => true,
          () => false,
        )
      )
        found.push(array);
    }
    return found;
  };
  const mirrored = (): Promise<void> =>
    until("the second copy is in sync", LIMIT_MS, () => new RealArray(cloud, "second").mirrors(volume));
  /** Compares what the guest reads from that disk, up to that block, with what it wrote. */
  const holds = async (device: string, last: number): Promise<void> => {
    await run("sync; echo 3 > /proc/sys/vm/drop_caches");
    await run(`dd if=${device} bs=${BLOCK} count=${last + 1} 2>/dev/null | sed 's/ *$//' > /tmp/seen`);
    await run(`seq 0 ${last} > /tmp/wanted; cmp /tmp/seen /tmp/wanted`);
  };
  const arrived = async (backend: keyof typeof PLACES): Promise<void> => {
    const here = (shown: Shown) =>
      shown.migration_status === "success" && String(shown["os-vol-host-attr:host"]).endsWith(`@${backend}#${backend}`);
    assert.equal((await shows(`the volume is on ${backend}`, here)).status, "in-use");
    await more();
    await until("the source is clean", LIMIT_MS, async () => (await arrays()).length === 1);
    assert.deepEqual(await arrays(), [backend]);
  };

  it("is attached, and written to", async () => {
    await cloud.admin.volume(`volume service set --disable ${REPLICATED} cinder-volume`);
    ({ id: volume } = await cloud.admin.volumeJson("volume create --size 1 data"));
    ({ id: server } = await cloud.admin.json(
      "server create --image pileus-guest --flavor m1.tiny --network private --host host-2 --wait writer",
    ));
    host = "host-2";
    await shows("the volume is available", ({ status }) => status === "available");
    await cloud.admin.volume(`volume service set --enable ${REPLICATED} cinder-volume`);
    await cloud.admin.openstack(`server add volume ${server} ${volume}`);
    await shows("the volume is in use", ({ status }) => status === "in-use");
    await until("the disk", LIMIT_MS, async () => (await run("cat /sys/block/vdb/size || true")) === "2097152");
    await run(
      `echo '${WRITER.replaceAll("'", `'\\''`)}' > /tmp/writer; sh /tmp/writer > /dev/null 2>&1 < /dev/null & echo started`,
    );
    await until("writes", LIMIT_MS, async () => (await run("cat /tmp/acknowledged || true")) !== "");
    await more();
  });

  it("moves to another backend and back", async () => {
    assert.deepEqual(await arrays(), ["shared"]);
    await cloud.admin.volume(`volume migrate --host ${PLACES.replicated} ${volume}`);
    await arrived("replicated");
    assert.match(await cloud.admin.cinder(`migrate ${volume} ${PLACES.shared}`), /accepted/);
    await arrived("shared");
  });

  it("grows under the guest", async () => {
    await cloud.admin.volume(`volume set --size 2 ${volume}`);
    await shows("the volume has grown", ({ size, status }) => size === 2 && status === "in-use");
    await until("the guest's disk", LIMIT_MS, async () => (await run("cat /sys/block/vdb/size")) === "4194304");
    await more();
  });

  it("becomes replicated by another type, on the backend that can do that", async () => {
    await cloud.admin.cinder(`retype --migration-policy on-demand ${volume} mirrored`);
    const retyped = ({ type, status }: Shown) => type === "mirrored" && status === "in-use";
    const shown = await shows("the volume is replicated", retyped);
    assert.deepEqual([shown["os-vol-host-attr:host"], shown.replication_status], [PLACES.replicated, "enabled"]);
    await mirrored();
    await more();
  });

  it("is snapshotted", async () => {
    snapped = await acknowledged();
    ({ id: snapshot } = await cloud.admin.volumeJson(`volume snapshot create --force --volume ${volume} moment`));
    await until("the snapshot is available", LIMIT_MS, async () => {
      const { status } = await cloud.admin.volumeJson(`volume snapshot show ${snapshot}`);
      assert.notEqual(status, "error");
      return status === "available";
    });
    await more();
  });

  it("outlives the array that served it, and comes home", async () => {
    assert.ok((await new RealArray(cloud, "replicated").kill()) > 0);
    await cloud.admin.cinder(`failover-host ${REPLICATED} --backend_id second`);
    const away = await shows("it has failed over", (shown) => shown.replication_status === "failed-over");
    assert.equal(away.status, "in-use");
    await more();
    await cloud.admin.cinder(`failover-host ${REPLICATED} --backend_id default`);
    const home = await shows("it has failed back", (shown) => shown.replication_status === "enabled");
    assert.equal(home.status, "in-use");
    await more();
  });

  it("stays with its server when that is live-migrated", async () => {
    await cloud.admin.openstack(`server migrate --live-migration ${server}`);
    const moved = await cloud.api.untilServer(
      server,
      (shown) => shown.status === "ACTIVE" && shown["OS-EXT-SRV-ATTR:host"] !== host,
      LIMIT_MS,
    );
    host = moved["OS-EXT-SRV-ATTR:host"] ?? assert.fail("the server is on no host");
    await more();
  });

  it("has lost no write that was acknowledged, nor has its snapshot", async () => {
    await run("pkill -f /tmp/writer || true");
    const last = await acknowledged();
    assert.ok(last > snapped && snapped > 20);
    await holds("/dev/vdb", last);
    const { id: copy } = await cloud.admin.volumeJson(`volume create --size 2 --snapshot ${snapshot} copy`);
    await until("the copy is available", LIMIT_MS, async () => {
      const { status } = await cloud.admin.volumeJson(`volume show ${copy}`);
      assert.notEqual(status, "error");
      return status === "available";
    });
    await cloud.admin.openstack(`server add volume ${server} ${copy}`);
    await until("the copy's disk", LIMIT_MS, async () => (await run("cat /sys/block/vdc/size || true")) === "4194304");
    await holds("/dev/vdc", snapped);
    await cloud.admin.openstack(`server remove volume ${server} ${volume}`);
    await shows("the volume is available", ({ status }) => status === "available");
    await cloud.admin.openstack(`server delete --wait ${server}`);
  });
});
