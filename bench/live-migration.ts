import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Qmp } from "../agent/process/qmp.ts";
import { runCommand } from "../agent/process/run-command.ts";
import { hostDir } from "../apps/cli/local-hosts.ts";
import { sleep, systemClock } from "../kernel/clock/clock.ts";
import { RealCloud, whyNoRealCloud } from "../tests/contract/support/real-cloud.ts";
import { median } from "./support/load.ts";
import { publish } from "./support/section.ts";

/**
 * Live migration with the disk, through the API and as the same QMP commands given by hand, in turns on one machine:
 * `npm run bench -- live-migration`, as root.
 */
const rounds = 7;
const HAND_ID = "00000000-0000-4000-8000-00000000babe";
const MEMORY_PORT = 61_000;
const DISK_PORT = 61_001;
const ADDRESS: Readonly<Record<string, string>> = { "host-1": "10.77.0.1", "host-2": "10.77.0.2" };

interface Figure {
  readonly totalMs: number;
  /** Longest time without a tick of the guest; it ticks every 100 ms. */
  readonly silenceMs: number;
}

/** A guest that was copied from the API's: same command line, folders of its own. */
class HandGuest {
  readonly #cloud: RealCloud;
  readonly #template: readonly string[];
  readonly #id: string;
  host = "host-1";

  constructor(cloud: RealCloud, id: string, template: readonly string[]) {
    this.#cloud = cloud;
    this.#id = id;
    this.#template = template;
  }

  dir(host: string): string {
    return join(this.#cloud.stateDir, `hand-${host}`);
  }

  log(host: string): string {
    return join(this.dir(host), "serial.log");
  }

  /** Prepares the folder with an empty layer over the image and starts the process. */
  async launch(host: string, more: readonly string[]): Promise<Qmp> {
    const dir = this.dir(host);
    const source = hostDir(this.#cloud.stateDir, "host-1");
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    await cp(join(source, "guests", this.#id, "config.img"), join(dir, "config.img"));
    const disk = join(source, "instances", this.#id, "root.qcow2");
    const info = JSON.parse(await runCommand("qemu-img", ["info", "-U", "--output=json", disk])) as {
      "full-backing-filename": string;
      "virtual-size": number;
    };
    const backing = ["-b", info["full-backing-filename"], "-F", "qcow2"];
    const layer = ["create", "-q", "-f", "qcow2", ...backing, join(dir, "root.qcow2"), String(info["virtual-size"])];
    await runCommand("qemu-img", layer);
    const args = this.#template.map((arg) =>
      arg
        .replaceAll(join(source, "guests", this.#id), dir)
        .replaceAll(join(source, "instances", this.#id), dir)
        .replaceAll(this.#id, HAND_ID),
    );
    const netns = `plt${process.pid}-host-${host}`;
    await runCommand("nsenter", [`--net=/run/netns/${netns}`, "--", ...args, ...more]);
    return await Qmp.open(join(dir, "qmp.sock"), systemClock);
  }

  async migrate(source: Qmp, from: string, to: string): Promise<Qmp> {
    const destination = await this.launch(to, ["-incoming", "defer"]);
    const host = ADDRESS[to] ?? "";
    const inet = { type: "inet", data: { host, port: String(DISK_PORT) } };
    await capabilities(destination, ["events", "return-path"]);
    await destination.execute("migrate-incoming", { uri: `tcp:${host}:${MEMORY_PORT}` });
    await destination.execute("nbd-server-start", { addr: inet });
    const what = { type: "nbd", id: "root-export", "node-name": "root", name: "root", writable: true };
    await destination.execute("block-export-add", what);

    const server = { type: "inet", host, port: String(DISK_PORT) };
    await source.execute("blockdev-add", { driver: "nbd", "node-name": "target", server, export: "root" });
    const mirror = { "job-id": "mirror", device: "root", target: "target", sync: "top" };
    await source.execute("blockdev-mirror", { ...mirror, "copy-mode": "write-blocking", "auto-dismiss": false });
    await whenever(source, async () => (await jobState(source)) === "ready");
    await capabilities(source, ["events", "return-path", "pause-before-switchover"]);
    await source.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 40, "downtime-limit": 500 });
    await source.execute("migrate", { uri: `tcp:${host}:${MEMORY_PORT}` });
    await whenever(source, async () => (await migration(source)) === "pre-switchover");
    await source.execute("block-job-cancel", { device: "mirror" });
    await whenever(source, async () => (await jobState(source)) === "concluded");
    await source.execute("migrate-continue", { state: "pre-switchover" });
    await whenever(source, async () => (await migration(source)) === "completed");
    await whenever(destination, async () => (await status(destination)) === "running");
    await destination.execute("nbd-server-stop");
    await destination.execute("announce-self", { initial: 50, max: 550, rounds: 5, step: 50 });
    await quit(source);
    await rm(this.dir(from), { recursive: true, force: true });
    return destination;
  }
}

/** From the request to the end of the operation, the clean-up of the source included. */
async function measureApi(id: string, from: string, to: string): Promise<Figure> {
  const logs = [from, to].map((host) => join(hostDir(cloud.stateDir, host), "guests", id, "serial.log"));
  const silence = new Silence(logs);
  const began = systemClock.now();
  await cloud.api.act(id, { "os-migrateLive": { host: to, block_migration: true } });
  const [operation] = await cloud.api.liveOperations(id);
  if (!operation) throw new Error("no operation");
  const { operation: ended } = await cloud.api.request<{ operation: { finished_at: string; state: string } }>(
    "GET",
    `/v1/operations/${operation.id}/wait?timeout=120`,
  );
  const { status: state } = (await cloud.api.migrations(id)).toSorted((a, b) => b.id - a.id)[0] ?? { status: "none" };
  if (state !== "completed") throw new Error(`the migration ended as ${state}`);
  const totalMs = Date.parse(`${ended.finished_at}Z`) - began;
  return { totalMs, silenceMs: await silence.end() };
}

/** Looks at consoles every few milliseconds for the longest time in which nothing was written. */
class Silence {
  #on = true;
  readonly #done: Promise<number>;

  constructor(paths: readonly string[]) {
    this.#done = this.#watch(paths);
  }

  async end(): Promise<number> {
    await sleep(systemClock, 500);
    this.#on = false;
    return await this.#done;
  }

  async #watch(paths: readonly string[]): Promise<number> {
    let last = performance.now();
    let longest = 0;
    let seen = "";
    while (this.#on) {
      const texts = await Promise.all(paths.map((path) => readFile(path, "latin1").catch(() => "")));
      const ticks = Math.max(
        0,
        ...texts.map((text) => Number(/tick (\d+) up=[^\n]*\n(?!.*tick \d+ up=)/s.exec(text.slice(-400))?.[1] ?? 0)),
      );
      const now = performance.now();
      if (String(ticks) !== seen) {
        longest = Math.max(longest, now - last);
        last = now;
        seen = String(ticks);
      }
      await sleep(systemClock, 5);
    }
    return longest;
  }
}

async function report(api: readonly Figure[], byHand: readonly Figure[]): Promise<void> {
  const row = (name: string, pick: (figure: Figure) => number) => {
    const [a, b] = [median(api.map(pick)), median(byHand.map(pick))];
    return [name, `${a.toFixed(0)} ms`, `${b.toFixed(0)} ms`, (a / b).toFixed(2)];
  };
  const load = (await readFile("/proc/loadavg", "utf8")).split(" ")[0];
  const totals = (figures: readonly Figure[]) => figures.map(({ totalMs }) => totalMs.toFixed(0)).join(", ");
  await publish({
    name: "live-migration",
    title: "Live migration with the disk",
    how: `A guest of 128 MiB under TCG moves between two hosts of this machine: ${rounds} rounds in turns, medians.`,
    head: ["", "through the API", "the same QMP commands by hand", "ratio"],
    rows: [
      row("total, from the request until the source is clean", (figure) => figure.totalMs),
      row("longest silence of a guest that ticks every 100 ms", (figure) => figure.silenceMs),
    ],
    notes: [`Totals through the API ${totals(api)} ms; by hand ${totals(byHand)} ms; load average ${load}.`],
  });
}

async function capabilities(qmp: Qmp, names: readonly string[]): Promise<void> {
  const list = names.map((capability) => ({ capability, state: true }));
  await qmp.execute("migrate-set-capabilities", { capabilities: list });
}

async function whenever(qmp: Qmp, condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await qmp.changed(20);
}

async function jobState(qmp: Qmp): Promise<string> {
  const jobs = await qmp.execute<{ id: string; status: string }[]>("query-jobs");
  return jobs.find(({ id }) => id === "mirror")?.status ?? "none";
}

async function migration(qmp: Qmp): Promise<string> {
  return (await qmp.execute<{ status?: string }>("query-migrate")).status ?? "none";
}

async function status(qmp: Qmp): Promise<string> {
  return (await qmp.execute<{ status: string }>("query-status")).status;
}

async function quit(qmp: Qmp): Promise<void> {
  await qmp.execute("quit").catch(() => undefined);
  qmp.close();
}

const reason = await whyNoRealCloud();
if (reason !== false) {
  console.log(`live-migration: skipped, it needs real hosts: ${reason}`);
  process.exit();
}
const cloud = await RealCloud.start();
let handQmp: Qmp | null = null;
try {
  const made = await cloud.admin.json(
    "server create --image pileus-guest --flavor m1.tiny --nic none --host host-1 bench",
  );
  const id = String(made.id);
  await cloud.api.untilStatus(id, "ACTIVE");
  await cloud.sight("host-1").run(id, "true");
  const pid = (await cloud.sight("host-1").pid(id)) ?? 0;
  const template = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").filter((arg) => arg !== "");
  const hand = new HandGuest(cloud, id, template);
  handQmp = await hand.launch("host-1", []);
  while (!(await readFile(hand.log("host-1"), "utf8").catch(() => "")).includes("tick 20 "))
    await sleep(systemClock, 100);

  const api: Figure[] = [];
  const byHand: Figure[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const [from, to] = round % 2 === 0 ? (["host-1", "host-2"] as const) : (["host-2", "host-1"] as const);
    // The first look at the hand's disk needs the API's guest at home, so the hand goes before it leaves and after it returns.
    const current = handQmp;
    const throughApi = async () => api.push(await measureApi(id, from, to));
    const throughHand = async () => {
      const began = performance.now();
      const silence = new Silence([hand.log(from), hand.log(to)]);
      handQmp = await hand.migrate(current, from, to);
      const totalMs = performance.now() - began;
      byHand.push({ totalMs, silenceMs: await silence.end() });
    };
    if (from === "host-1") {
      await throughHand();
      await throughApi();
    } else {
      await throughApi();
      await throughHand();
    }
  }
  await report(api, byHand);
} finally {
  if (handQmp) await quit(handQmp);
  await cloud.dispose();
}
