import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What one run of a client gave. */
export interface ClientResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type ClientProgram = "openstack" | "nova" | "cinder" | "sdk";

/** The installed clients behind one loaded Python: each run is a process of its own, but starts in no time. */
export interface ClientHost {
  run(program: ClientProgram, args: readonly string[], env: Readonly<Record<string, string>>): Promise<ClientResult>;
  dispose(): Promise<void>;
}

const OPENSTACK = "/usr/bin/openstack";
const NOVA = "/usr/bin/nova";
const CINDER = "/usr/bin/cinder";
const TIMEOUT_MS = 60_000;

/** For the `skip` of a test: false when the clients are installed, otherwise why the test cannot run. */
export const clientsMissing: string | false = [OPENSTACK, NOVA, CINDER].every(installed)
  ? false
  : "the clients are not installed (apt-get install python3-openstackclient python3-novaclient python3-cinderclient)";

interface Waiting {
  resolve(result: ClientResult): void;
  reject(error: Error): void;
}

export async function startClientHost(): Promise<ClientHost> {
  const folder = await mkdtemp(join(tmpdir(), "pileus-clients-"));
  const program = fileURLToPath(new URL("./client-host.py", import.meta.url));
  // A group of its own, so that a client which hangs ends with it.
  const child = spawn(interpreter(), [program, join(folder, "lock")], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: folder, LANG: "C.UTF-8" },
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const waiting = new Map<number, Waiting>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const reply = JSON.parse(line) as ClientResult & { id: number };
    waiting.get(reply.id)?.resolve(reply);
    waiting.delete(reply.id);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => {
      for (const { reject } of waiting.values()) reject(new Error("The process that runs the clients has ended."));
      resolve();
    });
  });
  let requests = 0;
  return {
    run(name, args, env) {
      requests += 1;
      const id = requests;
      const answer = new Promise<ClientResult>((resolve, reject) => void waiting.set(id, { resolve, reject }));
      const request = { id, program: name, args, env: { HOME: folder, LANG: "C.UTF-8", ...env } };
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return within(TIMEOUT_MS, answer, `${name} ${args.join(" ")}`);
    },
    async dispose() {
      child.stdin.end();
      endGroup(child);
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function within<T>(limitMs: number, work: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`No end after ${limitMs} ms: ${what}`)), limitMs);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  process.kill(-child.pid, "SIGKILL");
}

/** The Python that the installed client itself asks for. */
function interpreter(): string {
  const [first = ""] = readFileSync(OPENSTACK, "utf8").split("\n", 1);
  return first.replace(/^#!\s*/, "").trim();
}

function installed(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
