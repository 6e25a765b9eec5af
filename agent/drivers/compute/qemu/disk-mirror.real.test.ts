import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { Qmp } from "../../../process/qmp.ts";
import { runCommand } from "../../../process/run-command.ts";
import { killForCertain } from "../../../process/running-process.ts";
import { dropMirror, ensureMirror, mirrorState } from "./disk-mirror.ts";
import { diskUri } from "./disk-uri.ts";
import { whyNoQemu } from "./testing/lab.ts";

const skip = (await whyNoQemu()) ?? false;
const LIMIT_MS = 60_000;

/**
 * A process with a disk but no guest, and a destination for the disk. What the process gives back of its memory is gone at
 * once, so that using it later ends it for certain and not once in a while. Of two writes of 64 KiB the second waits for its
 * turn at the source, until the disk is brought to rest.
 */
class Disk {
  readonly qmp: Qmp;
  readonly #dir: string;
  readonly #pids: number[];
  #destinations = 0;

  private constructor(dir: string, qmp: Qmp, pid: number) {
    this.#dir = dir;
    this.qmp = qmp;
    this.#pids = [pid];
  }

  static async open(): Promise<Disk> {
    const dir = await mkdtemp(join(tmpdir(), "mirror-"));
    await runCommand("qemu-img", ["create", "-q", "-f", "qcow2", join(dir, "image"), "64T"]);
    await createLayer(dir, "layer");
    const layer = { driver: "qcow2", "node-name": "layer", file: { driver: "file", filename: join(dir, "layer") } };
    const limits = { "iops-write": 1 };
    await runCommand("env", [
      ...["MALLOC_MMAP_THRESHOLD_=65536", "qemu-system-x86_64"],
      ...["-machine", "pc,accel=tcg,usb=off,graphics=off", "-nodefaults", "-no-user-config", "-display", "none", "-S"],
      ...["-object", JSON.stringify({ "qom-type": "throttle-group", id: "slow", limits })],
      ...["-blockdev", JSON.stringify(layer)],
      ...[
        "-blockdev",
        JSON.stringify({ driver: "throttle", "node-name": "root", "throttle-group": "slow", file: "layer" }),
      ],
      ...["-device", "virtio-blk-pci,id=disk,drive=root"],
      ...["-qmp", `unix:${join(dir, "qmp")},server=on,wait=off`, "-pidfile", join(dir, "pid"), "-daemonize"],
    ]);
    const pid = Number(await readFile(join(dir, "pid"), "utf8"));
    return new Disk(dir, await Qmp.open(join(dir, "qmp"), systemClock), pid);
  }

  /** Serves an empty layer; returns where, and the process that serves it. */
  async destination(): Promise<{ uri: string; pid: number }> {
    this.#destinations += 1;
    const name = `destination-${this.#destinations}`;
    await createLayer(this.#dir, name);
    const socket = join(this.#dir, `${name}.sock`);
    const pidFile = join(this.#dir, `${name}.pid`);
    const serve = ["--fork", "--persistent", `--socket=${socket}`, `--pid-file=${pidFile}`, "--export-name=disk"];
    await runCommand("qemu-nbd", [...serve, "--format=qcow2", join(this.#dir, name)]);
    const pid = Number(await readFile(pidFile, "utf8"));
    this.#pids.push(pid);
    return { uri: diskUri({ kind: "unix", path: socket }, "disk"), pid };
  }

  async mirrorReady(uri: string): Promise<void> {
    await ensureMirror(this.qmp, uri);
    await this.until("the mirror is ready", async () => (await mirrorState(this.qmp))?.status === "ready");
  }

  /** Begins to write as a guest does, `count` times; returns at once. */
  async write(count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      const command = `qemu-io -d /machine/peripheral/disk/virtio-backend "aio_write -q ${i}M 64k"`;
      await this.qmp.execute("human-monitor-command", { "command-line": command });
    }
  }

  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const limit = systemClock.now() + LIMIT_MS;
    while (!(await condition())) {
      assert.ok(systemClock.now() < limit, `waited in vain until ${what}`);
      await this.qmp.changed(20);
    }
  }

  async close(): Promise<void> {
    this.qmp.close();
    for (const pid of this.#pids) await killForCertain(pid, systemClock);
    await rm(this.#dir, { recursive: true, force: true });
  }
}

async function createLayer(dir: string, name: string): Promise<void> {
  await runCommand("qemu-img", [
    "create",
    "-q",
    "-f",
    "qcow2",
    "-b",
    join(dir, "image"),
    "-F",
    "qcow2",
    join(dir, name),
  ]);
}

async function withDisk(work: (disk: Disk) => Promise<void>): Promise<void> {
  const disk = await Disk.open();
  try {
    await work(disk);
  } finally {
    await disk.close();
  }
}

test("a mirror that is dropped while its guest writes leaves the guest, and another one can follow", { skip }, () =>
  withDisk(async (disk) => {
    await disk.mirrorReady((await disk.destination()).uri);
    await disk.write(2);
    await dropMirror(disk.qmp);
    assert.equal(await mirrorState(disk.qmp), null);
    await disk.mirrorReady((await disk.destination()).uri);
  }),
);

test("a destination that dies while the guest writes takes the mirror with it, not the guest", { skip }, () =>
  withDisk(async (disk) => {
    const { uri, pid } = await disk.destination();
    await disk.mirrorReady(uri);
    process.kill(pid, "SIGSTOP");
    await disk.write(2);
    await killForCertain(pid, systemClock);
    await disk.until("the mirror fails", async () => (await mirrorState(disk.qmp))?.error != null);
    await dropMirror(disk.qmp);
    await disk.mirrorReady((await disk.destination()).uri);
  }),
);

test("a destination that says nothing holds neither its mirror nor the guest's writes", { skip }, () =>
  withDisk(async (disk) => {
    const { uri, pid } = await disk.destination();
    await disk.mirrorReady(uri);
    process.kill(pid, "SIGSTOP");
    await disk.write(2);
    await dropMirror(disk.qmp);
    await disk.mirrorReady((await disk.destination()).uri);
  }),
);
