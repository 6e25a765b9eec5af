import assert from "node:assert/strict";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { GuestAgent } from "../../../agent/drivers/compute/qemu/guest-agent.ts";
import { ticksOf } from "../../../agent/drivers/compute/qemu/testing/lab.ts";
import { livePid } from "../../../agent/process/pid-file.ts";
import { tryCommand } from "../../../agent/process/run-command.ts";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;
/** Emulated guests on a machine that builds at the same time are slow. */
const COMMAND_LIMIT_MS = 300_000;

/** What one of the local hosts really has. */
export class HostSight {
  readonly #dir: string;
  readonly #netns: string;

  constructor(dir: string, netns: string) {
    this.#dir = dir;
    this.#netns = netns;
  }

  pid(serverId: string): Promise<number | null> {
    const file = join(this.#dir, "guests", serverId, "qemu.pid");
    return livePid(file, file);
  }

  /** The guest's console on this host; goes on being readable when the host has removed the guest. */
  async openConsole(serverId: string, from: "start" | "now"): Promise<GuestConsole> {
    const file = await open(join(this.#dir, "guests", serverId, "serial.log"));
    return new GuestConsole(file, from === "start" ? 0 : (await file.stat()).size);
  }

  /** Guests, local disks, serving processes and taps on this host. */
  async holdings(): Promise<{ guests: string[]; running: string[]; disks: string[]; taps: string[] }> {
    const guests = await ids(join(this.#dir, "guests"));
    const running: string[] = [];
    for (const id of guests) {
      const served = join(this.#dir, "guests", id, "export.pid");
      if ((await this.pid(id)) !== null) running.push(id);
      if ((await livePid(served, served)) !== null) running.push(`export of ${id}`);
    }
    const links = await tryCommand("ip", ["-n", this.#netns, "-j", "link", "show"]);
    const names = (JSON.parse(links.stdout || "[]") as { ifname?: string }[]).map(({ ifname }) => ifname ?? "");
    const taps = names.filter((name) => name.startsWith("tap"));
    return { guests, running, disks: await ids(join(this.#dir, "instances")), taps };
  }

  /** Runs a shell command in the guest and returns what it printed. Throws when the guest does not answer or the command fails. */
  async run(serverId: string, command: string): Promise<string> {
    const { code, output } = await this.tryRun(serverId, command);
    assert.equal(code, 0, `'${command}' in the guest printed ${output}`);
    return output;
  }

  async tryRun(serverId: string, command: string): Promise<{ code: number; output: string }> {
    const agent = new GuestAgent(join(this.#dir, "guests", serverId, "agent.sock"), systemClock);
    assert.ok(
      await agent.waitUntilAnswers(COMMAND_LIMIT_MS, AbortSignal.timeout(COMMAND_LIMIT_MS)),
      "the guest answers",
    );
    const request = { path: "/bin/sh", arg: ["-c", `${command} 2>&1`], "capture-output": true };
    const { pid } = await agent.execute<{ pid: number }>("guest-exec", request);
    const end = systemClock.now() + COMMAND_LIMIT_MS;
    for (;;) {
      const state = await agent.execute<ExecState>("guest-exec-status", { pid });
      if (state.exited)
        return {
          code: state.exitcode ?? -1,
          output: Buffer.from(state["out-data"] ?? "", "base64")
            .toString()
            .trim(),
        };
      if (systemClock.now() > end) throw new Error(`'${command}' in the guest does not end`);
      await sleep(systemClock, 100);
    }
  }
}

interface ExecState {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly "out-data"?: string;
}

export class GuestConsole {
  readonly #file: FileHandle;
  readonly #from: number;

  constructor(file: FileHandle, from: number) {
    this.#file = file;
    this.#from = from;
  }

  /** What was written since it was opened, or since its start. */
  async text(): Promise<string> {
    const size = (await this.#file.stat()).size - this.#from;
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(size), 0, size, this.#from);
    return buffer.toString("utf8", 0, bytesRead);
  }

  async lastTick(): Promise<number> {
    return ticksOf(await this.text()).at(-1) ?? 0;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function ids(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => ID.test(name)).sort();
}
