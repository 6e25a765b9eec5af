import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { RealCloud, until, whyNoRealCloud } from "./support/real-cloud.ts";

/** Far more than anything takes; a machine that builds at the same time is slow. */
const LIMIT_MS = 300_000;
const BLOCK = 4096;
const PLACES = { shared: "host-1@shared#shared", replicated: "host-3@replicated#replicated" } as const;

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

  before(async () => {
    cloud = await RealCloud.start();
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
  const arrived = async (backend: keyof typeof PLACES): Promise<void> => {
    const here = (shown: Shown) =>
      shown.migration_status === "success" && String(shown["os-vol-host-attr:host"]).endsWith(`@${backend}#${backend}`);
    assert.equal((await shows(`the volume is on ${backend}`, here)).status, "in-use");
    await more();
    await until("the source is clean", LIMIT_MS, async () => (await arrays()).length === 1);
    assert.deepEqual(await arrays(), [backend]);
  };

  it("is attached, and written to", async () => {
    ({ id: volume } = await cloud.admin.volumeJson("volume create --size 1 data"));
    ({ id: server } = await cloud.admin.json(
      "server create --image pileus-guest --flavor m1.tiny --network private --host host-2 --wait writer",
    ));
    host = "host-2";
    await shows("the volume is available", ({ status }) => status === "available");
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
    const [first] = await arrays();
    const [there, back] =
      first === "shared" ? (["replicated", "shared"] as const) : (["shared", "replicated"] as const);
    await cloud.admin.volume(`volume migrate --host ${PLACES[there]} ${volume}`);
    await arrived(there);
    assert.match(await cloud.admin.cinder(`migrate ${volume} ${PLACES[back]}`), /accepted/);
    await arrived(back);
  });

  it("grows under the guest", async () => {
    await cloud.admin.volume(`volume set --size 2 ${volume}`);
    await shows("the volume has grown", ({ size, status }) => size === 2 && status === "in-use");
    await until("the guest's disk", LIMIT_MS, async () => (await run("cat /sys/block/vdb/size")) === "4194304");
    await more();
  });

  it("has lost no write that was acknowledged", async () => {
    await run("pkill -f /tmp/writer || true");
    const last = await acknowledged();
    assert.ok(last > 20);
    await run("sync; echo 3 > /proc/sys/vm/drop_caches");
    await run(`dd if=/dev/vdb bs=${BLOCK} count=${last + 1} 2>/dev/null | sed 's/ *$//' > /tmp/seen`);
    await run(`seq 0 ${last} > /tmp/wanted; cmp /tmp/seen /tmp/wanted`);
    await cloud.admin.openstack(`server remove volume ${server} ${volume}`);
    await shows("the volume is available", ({ status }) => status === "available");
    await cloud.admin.openstack(`server delete --wait ${server}`);
  });
});
