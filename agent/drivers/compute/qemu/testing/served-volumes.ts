import assert from "node:assert/strict";
import { mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import {
  type SeenDisk,
  type ServedVolume,
  serialOf,
  type VolumeTools,
} from "../../../../conformance/compute-volumes.ts";
import { runCommand } from "../../../../process/run-command.ts";
import { killForCertain } from "../../../../process/running-process.ts";
import type { Connection } from "../../../../protocol/connection.ts";
import {
  type DaemonFiles,
  DaemonTalk,
  daemonFiles,
  startDaemon,
} from "../../../block-storage/file-nbd/storage-daemon.ts";
import type { GuestAgent } from "../guest-agent.ts";
import type { Lab } from "./lab.ts";

const SIZE_BYTES = 256 * 1024 ** 2;
/** In our guest image. */
const STREAM = "/sbin/volume-stream";
const LIMIT_MS = 60_000;

/** Volumes of a lab: raw files, each served by a daemon of its own as the block-storage driver does it. */
export class ServedVolumes implements VolumeTools {
  readonly #lab: Lab;
  readonly #dir: string;
  readonly #copies = new Set<Copy>();

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#dir = join(lab.dir, "volumes");
  }

  readonly streams = {
    in: (host: string, serverId: string, volumeId: string) => {
      const ask = (...args: string[]) => this.#ask(host, serverId, args);
      const serial = serialOf(volumeId);
      return {
        begin: async () => {
          await this.#agent(host, serverId).execute("guest-exec", { path: STREAM, arg: ["write", serial] });
        },
        written: async () => {
          const said = await ask("written", serial);
          // Nothing is said by a writer that has not begun.
          return /^\d*$/.test(said) ? Number(said) : assert.fail(`the guest's writer: ${said}`);
        },
        check: async (blocks: number) => {
          assert.equal(await ask("check", serial, String(blocks)), `${blocks} blocks`);
        },
      };
    },
  };

  async serve({ bootable = false }: { bootable?: boolean } = {}): Promise<ServedVolume> {
    await mkdir(this.#dir, { recursive: true });
    const volumeId = systemIds.uuid();
    const first = await this.#copy(volumeId, "a");
    if (bootable) await runCommand("qemu-img", ["convert", "-O", "raw", this.#lab.image.root, first.path]);
    await truncate(first.path, SIZE_BYTES);
    await first.start();
    return {
      volumeId,
      connection: first.connection,
      sizeBytes: SIZE_BYTES,
      async grow() {
        const bytes = 2 * SIZE_BYTES;
        await first.talk(async (talk) => {
          await talk.ensureNoExport();
          await talk.resize(bytes);
          await talk.ensureExport(volumeId);
        });
        return bytes;
      },
      kill: () => first.kill(),
      revive: () => first.start(),
      mirror: async () => {
        const second = await this.#copy(volumeId, "b");
        await truncate(second.path, SIZE_BYTES);
        await second.start();
        await first.talk(async (talk) => {
          await talk.startMirror(second.connection, "all");
          await talk.mirrorReady(AbortSignal.timeout(LIMIT_MS));
        });
        return second.connection;
      },
      retire: () => first.kill(),
    };
  }

  async disksIn(host: string, serverId: string): Promise<SeenDisk[]> {
    const agent = this.#agent(host, serverId);
    await agent.waitUntilAnswers(LIMIT_MS, AbortSignal.timeout(LIMIT_MS));
    const lines = (await this.#ask(host, serverId, ["disks"])).split("\n");
    return lines.map((line) => {
      const [, name, serial = "", bytes] = /^(\S+) (\S*) (\d+)$/.exec(line) ?? [];
      return { device: `/dev/${name}`, serial, bytes: Number(bytes) };
    });
  }

  /** Ends every daemon. */
  async close(): Promise<void> {
    for (const copy of this.#copies) await copy.kill();
    this.#copies.clear();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #copy(volumeId: string, which: string): Promise<Copy> {
    const copy = new Copy(this.#dir, volumeId, which);
    await writeFile(copy.path, "");
    this.#copies.add(copy);
    return copy;
  }

  #agent(host: string, serverId: string): GuestAgent {
    return this.#lab.agent(host, serverId);
  }

  /** What the guest's program says, be it that it failed. */
  async #ask(host: string, serverId: string, args: string[]): Promise<string> {
    const agent = this.#agent(host, serverId);
    const what = { path: STREAM, arg: args, "capture-output": true };
    const { pid } = await agent.execute<{ pid: number }>("guest-exec", what);
    let said = "";
    await this.#lab.until(`${STREAM} ${args.join(" ")} ends`, async () => {
      const state = await agent.execute<ExecState>("guest-exec-status", { pid });
      const text = (data = "") => Buffer.from(data, "base64").toString();
      said = text(state["out-data"]) + text(state["err-data"]);
      return state.exited;
    });
    return said.trim();
  }
}

interface ExecState {
  exited: boolean;
  "out-data"?: string;
  "err-data"?: string;
}

/** One file and the daemon that serves it. */
class Copy {
  readonly path: string;
  readonly #export: string;
  readonly #files: DaemonFiles;
  #pid: number | null = null;

  constructor(dir: string, volumeId: string, which: string) {
    const short = volumeId.slice(0, 8);
    this.path = join(dir, `${short}-${which}.raw`);
    this.#export = volumeId;
    this.#files = daemonFiles(dir, `${short}-${which}`, 1);
  }

  get connection(): Connection {
    return { kind: "unix", path: this.#files.nbd, export: this.#export };
  }

  async start(): Promise<void> {
    this.#pid = await startDaemon(this.#files);
    await this.talk(async (talk) => {
      await talk.ensureDisk(this.path);
      await talk.ensureExport(this.#export);
    });
  }

  async kill(): Promise<void> {
    if (this.#pid !== null) await killForCertain(this.#pid, systemClock);
    this.#pid = null;
  }

  async talk(work: (talk: DaemonTalk) => Promise<void>): Promise<void> {
    const talk = await DaemonTalk.open(this.#files, systemClock);
    await work(talk).finally(() => talk.close());
  }
}
