import assert from "node:assert/strict";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sleep, systemClock } from "../../../../kernel/clock/clock.ts";
import { runCommand } from "../../../process/run-command.ts";
import { killForCertain } from "../../../process/running-process.ts";
import { DaemonTalk, daemonFiles, type JobState, startDaemon } from "./storage-daemon.ts";
import { NbdClient } from "./testing/nbd-client.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";

const skip = (await whyNoStorage()) ?? false;
const NAME = "volume";
const DISK_BYTES = 15 * 2 ** 40;
const CHUNK = 65_536;
const LIMIT_MS = 60_000;

/** A daemon with an empty disk of 4 TiB. */
async function startPeer(dir: string, name: string): Promise<{ pid: number; talk: DaemonTalk }> {
  const files = daemonFiles(dir, name, 1);
  const pid = await startDaemon(files);
  const talk = await DaemonTalk.open(files, systemClock);
  await talk.ensureDisk(await emptyDisk(dir, name));
  await talk.ensureExport(NAME);
  return { pid, talk };
}

/**
 * The same, where what the process gives back of its memory is gone at once, so that using it later ends it for certain and
 * not once in a while. Of two writes that come together the second waits for a second below the mirror.
 */
async function startMain(dir: string): Promise<{ pid: number; talk: DaemonTalk }> {
  const files = daemonFiles(dir, "main", 1);
  const disk = { driver: "file", "node-name": "file", filename: await emptyDisk(dir, "main") };
  const limits = { "bps-write": CHUNK };
  await runCommand("env", [
    ...["MALLOC_MMAP_THRESHOLD_=65536", "qemu-storage-daemon", "--daemonize", "--pidfile", files.pid],
    ...["--chardev", `socket,id=monitor,path=${files.qmp},server=on,wait=off`, "--monitor", "chardev=monitor"],
    ...["--object", JSON.stringify({ "qom-type": "throttle-group", id: "slow", limits })],
    ...["--blockdev", JSON.stringify(disk)],
    ...["--blockdev", JSON.stringify({ driver: "raw", "node-name": "base", file: "file" })],
    ...[
      "--blockdev",
      JSON.stringify({ driver: "throttle", "node-name": "top", "throttle-group": "slow", file: "base" }),
    ],
  ]);
  const pid = Number(await readFile(files.pid, "utf8"));
  return { pid, talk: await DaemonTalk.open(files, systemClock) };
}

async function emptyDisk(dir: string, name: string): Promise<string> {
  const path = join(dir, `${name}.raw`);
  const file = await open(path, "w");
  await file.truncate(DISK_BYTES);
  await file.close();
  return path;
}

async function until(talk: DaemonTalk, what: string, condition: (state: JobState) => boolean): Promise<void> {
  const limit = systemClock.now() + LIMIT_MS;
  for (;;) {
    const state = await talk.mirror();
    if (state && condition(state)) return;
    assert.ok(systemClock.now() < limit, `waited in vain until ${what}`);
    await sleep(systemClock, 10);
  }
}

test("a second copy that dies while clients write takes the mirror with it, not the volume", { skip }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "daemon-"));
  const peer = await startPeer(dir, "peer");
  const main = await startMain(dir);
  const connection = main.talk.connection(NAME);
  const clients = Array.from({ length: 3 }, () => new NbdClient(connection, LIMIT_MS));
  const [writer, slowWriter, reader] = clients;
  assert.ok(writer && slowWriter && reader);
  try {
    await main.talk.startMirror(peer.talk.connection(NAME), "nothing");
    await main.talk.mirrorReady(AbortSignal.timeout(LIMIT_MS));
    await main.talk.ensureExport(NAME);
    await slowWriter.size();
    process.kill(peer.pid, "SIGSTOP");
    const written = writer.write(0, Buffer.alloc(CHUNK, 1));
    await until(main.talk, "the first write has got to the second copy", ({ total }) => total > 0);
    const writtenSlowly = slowWriter.write(CHUNK, Buffer.alloc(CHUNK, 2));
    const bothWritten = Promise.all([written, writtenSlowly]);
    bothWritten.catch(() => {});
    await reader.size();
    await killForCertain(peer.pid, systemClock);
    await until(main.talk, "the mirror fails", ({ error }) => error !== null);
    assert.equal(await main.talk.endMirror(NAME), false);
    await bothWritten;
    const both = Buffer.concat([Buffer.alloc(CHUNK, 1), Buffer.alloc(CHUNK, 2)]);
    assert.deepEqual(await reader.read(0, 2 * CHUNK), both);
  } finally {
    for (const client of clients) client.close();
    for (const { pid, talk } of [main, peer]) {
      talk.close();
      await killForCertain(pid, systemClock);
    }
    await rm(dir, { recursive: true, force: true });
  }
});
