import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

export interface ChildEnd {
  code: number;
  /** Everything it wrote, when it was not shown directly. */
  output: string;
  timedOut: boolean;
}

/** Children in process groups of their own, so that none of their descendants survives an end by us. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  readonly #graceMs: number;

  /** `graceMs`: how long a child may take to end when asked to. */
  constructor({ graceMs = 5000 }: { graceMs?: number } = {}) {
    this.#graceMs = graceMs;
  }

  /** `show`: the child writes to our own streams; otherwise its output is collected. */
  async run(
    argv: readonly string[],
    options: { env: NodeJS.ProcessEnv; cwd?: string; show: boolean; limitMs?: number; stdin?: string },
  ): Promise<ChildEnd> {
    const [command = "", ...args] = argv;
    const streams = options.show ? "inherit" : "pipe";
    const child = this.start(command, args, {
      env: options.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: [options.stdin === undefined ? "ignore" : "pipe", streams, streams],
    });
    child.stdin?.end(options.stdin);
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    let timedOut = false;
    const limit = options.limitMs
      ? setTimeout(() => {
          timedOut = true;
          void this.end(child);
        }, options.limitMs)
      : undefined;
    try {
      const code = await ending(child);
      return { code, output, timedOut };
    } finally {
      clearTimeout(limit);
    }
  }

  start(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn(command, args, { ...options, detached: true });
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    child.once("error", () => this.#running.delete(child));
    return child;
  }

  /** Ends the child and its descendants: first politely, then for good. */
  async end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    signalGroup(child, signal);
    const kill = setTimeout(() => signalGroup(child, "SIGKILL"), this.#graceMs);
    await ended;
    clearTimeout(kill);
  }

  /** Ends all that still run. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.end(child)));
  }
}

function ending(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
