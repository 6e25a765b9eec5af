import { chmod, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isRefusal, isUnreachable, Qmp } from "../../../process/qmp.ts";
import { runCommand } from "../../../process/run-command.ts";
import type { Connection } from "../../../protocol/connection.ts";

const QUIT_WITHIN_MS = 5_000;

/**
 * Nodes of a daemon, the data lowest: `file` - `base` - `top`, and over it `mirror` while a mirror runs. A backup reads at `base`,
 * below the mirror: each node works for one job only. Clients are served at the highest node, so that the mirror sees their writes.
 * What takes a mirror's writes is served at `guard`: see `ensureGuardedExport`.
 */
const [FILE, BASE, TOP, FILTER, PEER, NOTHING, GUARDED] = [
  ...(["file", "base", "top", "mirror", "peer", "nothing", "guard"] as const),
];
const EXPORT = "clients";
export const MIRROR = "mirror-job";
const GUARD = "guard-job";
const BACKUP = "backup-job";

export interface DaemonFiles {
  qmp: string;
  nbd: string;
  pid: string;
}

/**
 * What a mirror copies beside new writes: `all` to a target whose content does not matter, and is zeroed first; `over` what the
 * target has, so that all it has in common with the source stays readable there; `nothing` where both are equal.
 */
export type Copying = "all" | "over" | "nothing";

/** QEMU zeroes the target for `full`; without a backing file `top` copies as much. */
const SYNC: Record<Copying, string> = { all: "full", over: "top", nothing: "none" };

export interface JobState {
  status: string;
  done: number;
  total: number;
  error: string | null;
}

/** Sockets of one daemon. The generation keeps two daemons of one copy apart, whatever became of the first. */
export function daemonFiles(runDir: string, prefix: string, generation: number): DaemonFiles {
  const base = join(runDir, `${prefix}${generation}`);
  return { qmp: `${base}.qmp`, nbd: `${base}.nbd`, pid: `${base}.pid` };
}

/** Starts a daemon that has nothing open yet; returns its pid. It outlives the agent. */
export async function startDaemon(files: DaemonFiles): Promise<number> {
  for (const path of Object.values(files)) await rm(path, { force: true });
  await runCommand("qemu-storage-daemon", [
    "--daemonize",
    "--pidfile",
    files.pid,
    "--chardev",
    `socket,id=monitor,path=${files.qmp},server=on,wait=off`,
    "--monitor",
    "chardev=monitor",
  ]);
  await chmod(files.qmp, 0o600);
  return Number.parseInt(await readFile(files.pid, "utf8"), 10);
}

/** A talk with the daemon of one copy. It takes one at a time: whoever talks holds the volume's lock. */
export class DaemonTalk {
  readonly #qmp: Qmp;
  readonly #files: DaemonFiles;
  readonly #clock: Clock;

  private constructor(qmp: Qmp, files: DaemonFiles, clock: Clock) {
    this.#qmp = qmp;
    this.#files = files;
    this.#clock = clock;
  }

  static async open(files: DaemonFiles, clock: Clock): Promise<DaemonTalk> {
    return new DaemonTalk(await Qmp.open(files.qmp, clock), files, clock);
  }

  close(): void {
    this.#qmp.close();
  }

  connection(exportName: string): Connection {
    return { kind: "unix", path: this.#files.nbd, export: exportName };
  }

  /** Opens the copy's data. The kernel's lock on it stays with this daemon, so that no second one can write. */
  async ensureDisk(path: string): Promise<void> {
    const nodes = await this.#nodes();
    if (!nodes.includes(FILE)) {
      const file = { driver: "file", "node-name": FILE, filename: path, locking: "on", discard: "unmap" };
      await this.#qmp.execute("blockdev-add", file);
    }
    if (!nodes.includes(BASE)) await this.#addRaw(BASE, FILE);
    if (!nodes.includes(TOP)) await this.#addRaw(TOP, BASE);
  }

  /** Serves the copy, above the mirror where one runs. */
  async ensureExport(name: string): Promise<void> {
    await this.#export(name, (await this.#nodes()).includes(FILTER) ? FILTER : TOP);
  }

  async #export(name: string, node: string): Promise<void> {
    const address = { type: "unix", data: { path: this.#files.nbd } };
    await this.#qmp.execute("nbd-server-start", { addr: address, "max-connections": 0 }).catch(ifRefused);
    await chmod(this.#files.nbd, 0o600);
    if (await this.exports()) return;
    const options = { type: "nbd", id: EXPORT, "node-name": node, name, writable: true };
    await this.#qmp.execute("block-export-add", options);
  }

  /**
   * Serves a second copy, of `bytes`, to a mirror. The mirror's own side acknowledges what it could not write here, and may be
   * dead before anybody has asked it. So this side remembers: writes pass through a mirror from a disk that holds nothing, which
   * stops at the first that fails and stays so for as long as the process lives.
   */
  async ensureGuardedExport(name: string, bytes: number): Promise<void> {
    if (!(await this.#nodes()).includes(NOTHING))
      await this.#qmp.execute("blockdev-add", { driver: "null-co", "node-name": NOTHING, size: bytes });
    if (!(await this.#job(GUARD)))
      await this.#qmp.execute("blockdev-mirror", {
        "job-id": GUARD,
        "filter-node-name": GUARDED,
        device: NOTHING,
        target: TOP,
        sync: "none",
        "copy-mode": "write-blocking",
        "on-target-error": "stop",
        "auto-finalize": false,
        "auto-dismiss": false,
      });
    await this.#export(name, GUARDED);
  }

  /** Whether it serves, or has served, a second copy to a mirror. */
  async isGuarded(): Promise<boolean> {
    return (await this.#job(GUARD)) !== null;
  }

  /** Whether every write that reached this second copy is in it: true before the first, false for ever after one that failed. */
  async hasTakenAll(): Promise<boolean> {
    const guard = await this.#job(GUARD);
    return guard?.status === "ready" && guard.error === null;
  }

  async exports(): Promise<boolean> {
    return (await this.#qmp.execute<{ id: string }[]>("query-block-exports")).some(({ id }) => id === EXPORT);
  }

  /** Cuts the clients off and returns when nothing of theirs is under way. They come back by themselves when they may. */
  async ensureNoExport(): Promise<void> {
    await this.#qmp.execute("block-export-del", { id: EXPORT, mode: "hard" }).catch(ifRefused);
    while (await this.exports()) await this.#qmp.changed(50);
  }

  async resize(bytes: number): Promise<void> {
    await this.#qmp.execute("block_resize", { "node-name": TOP, size: bytes });
  }

  /**
   * Writes all that is written from now on to `target` too, and copies to it what is there already as `copying` says. A mirror that
   * cannot read or write waits to be ended: by itself it would end in the midst of clients' writes, which QEMU does not survive
   * (docs/decisions/0015).
   */
  async startMirror(target: Connection, copying: Copying): Promise<void> {
    // What is left of a try that was cut short before its job existed.
    await this.#qmp.execute("blockdev-del", { "node-name": PEER }).catch(ifRefused);
    await this.#qmp.execute("blockdev-add", {
      driver: "nbd",
      "node-name": PEER,
      discard: "unmap",
      ...nbdTarget(target),
    });
    await this.#qmp.execute("blockdev-mirror", {
      "job-id": MIRROR,
      "filter-node-name": FILTER,
      device: TOP,
      target: PEER,
      sync: SYNC[copying],
      "copy-mode": "write-blocking",
      "on-source-error": "stop",
      "on-target-error": "stop",
      "auto-dismiss": false,
    });
  }

  async mirror(): Promise<JobState | null> {
    return this.#job(MIRROR);
  }

  /** Resolves when both sides are equal and stay so. Throws `storage.copy_failed`. */
  async mirrorReady(signal: AbortSignal, progress: (state: JobState) => void = () => {}): Promise<JobState> {
    for (;;) {
      const state = await this.mirror();
      if (!state || state.error !== null || state.status === "concluded") throw copyFailed(state?.error ?? "no job");
      progress(state);
      if (state.status === "ready") return state;
      signal.throwIfAborted();
      await this.#qmp.changed(200);
    }
  }

  /**
   * Ends the mirror. True when both sides were equal at its end, and no client can write. One that must be broken off has
   * nothing written through it meanwhile: clients of the volume `name` are cut off for that moment.
   */
  async endMirror(name: string): Promise<boolean> {
    let equal = false;
    let asked = false;
    let cutOff = false;
    for (let state = await this.mirror(); state; state = await this.mirror()) {
      if (state.status === "concluded") {
        equal = asked && state.error === null;
        await this.#qmp.execute("job-dismiss", { id: MIRROR });
        continue;
      }
      // Cancelling a job that is ready, without force, is QEMU's word for a consistent end.
      const ready = state.status === "ready";
      asked ||= ready;
      if (!ready && (await this.exports())) {
        cutOff = true;
        await this.ensureNoExport();
      }
      await this.#qmp.execute("block-job-cancel", { device: MIRROR, force: !ready }).catch(ifRefused);
      await this.#qmp.changed(50);
    }
    await this.#qmp.execute("blockdev-del", { "node-name": PEER }).catch(ifRefused);
    if (cutOff) await this.ensureExport(name);
    return equal;
  }

  /** Writes the disk as it is at this moment into the file `path`, which is of equal size. Throws `storage.copy_failed`. */
  async backup(path: string, signal: AbortSignal, progress: (state: JobState) => void): Promise<void> {
    await this.endBackup();
    const target = { driver: "raw", "node-name": BACKUP, file: { driver: "file", filename: path, locking: "on" } };
    await this.#qmp.execute("blockdev-add", target);
    try {
      const options = { "job-id": BACKUP, device: BASE, target: BACKUP, sync: "full", "auto-dismiss": false };
      await this.#qmp.execute("blockdev-backup", options);
      for (let state = await this.#job(BACKUP); ; state = await this.#job(BACKUP)) {
        if (!state || state.error !== null) throw copyFailed(state?.error ?? "no job");
        if (state.status === "concluded") return;
        progress(state);
        signal.throwIfAborted();
        await this.#qmp.changed(200);
      }
    } finally {
      await this.endBackup();
    }
  }

  /** What a member that died has left. */
  async endBackup(): Promise<void> {
    for (let state = await this.#job(BACKUP); state; state = await this.#job(BACKUP)) {
      if (state.status === "concluded") await this.#qmp.execute("job-dismiss", { id: BACKUP });
      else {
        await this.#qmp.execute("block-job-cancel", { device: BACKUP, force: true }).catch(ifRefused);
        await this.#qmp.changed(50);
      }
    }
    await this.#qmp.execute("blockdev-del", { "node-name": BACKUP }).catch(ifRefused);
  }

  /** Asks the daemon to end, everything written. The caller makes certain of its end. */
  async quit(): Promise<void> {
    await this.#qmp.execute("quit", {}, QUIT_WITHIN_MS).catch((error: unknown) => {
      if (!isUnreachable(error)) throw error;
    });
    const until = this.#clock.now() + QUIT_WITHIN_MS;
    while (!this.#qmp.closed && this.#clock.now() < until) await sleep(this.#clock, 5);
    this.close();
  }

  async #addRaw(name: string, over: string): Promise<void> {
    await this.#qmp.execute("blockdev-add", { driver: "raw", "node-name": name, file: over, discard: "unmap" });
  }

  async #nodes(): Promise<string[]> {
    const nodes = await this.#qmp.execute<{ "node-name": string }[]>("query-named-block-nodes", { flat: true });
    return nodes.map((node) => node["node-name"]);
  }

  async #job(wanted: string): Promise<JobState | null> {
    interface Job {
      /** The job's id. */
      device: string;
      status: string;
      offset: number;
      len: number;
      "io-status": string;
      error?: string;
    }
    const job = (await this.#qmp.execute<Job[]>("query-block-jobs")).find(({ device }) => device === wanted);
    if (!job) return null;
    const { status, offset: done, len: total, "io-status": io } = job;
    return { status, done, total, error: job.error ?? (io === "ok" ? null : `a disk does not obey (${io})`) };
  }
}

export function copyFailed(why: string): CloudError {
  return new CloudError("conflict", "storage.copy_failed", "Copying the volume failed.", { internal: why });
}

/** As QEMU's block drivers take it. */
function nbdTarget(target: Connection): { server: Record<string, string>; export: string } {
  const server =
    target.kind === "unix"
      ? { type: "unix", path: target.path }
      : { type: "inet", host: target.host, port: String(target.port) };
  return { server, export: target.export };
}

function ifRefused(error: unknown): void {
  if (!isRefusal(error)) throw error;
}
