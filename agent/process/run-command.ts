import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

export interface RunOptions {
  cwd?: string;
  /** Added to the environment of this process. */
  env?: Record<string, string>;
  /** Written to standard input, which is then closed. */
  input?: string;
  /** Kills the command when aborted. */
  signal?: AbortSignal;
  /** Kills the command after this time; 60 s unless told. */
  timeoutMs?: number;
  /** Sees standard output while it is written, for progress. */
  onOutput?: (text: string) => void;
}

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end and returns what it said, whatever its exit code. Throws when it cannot be started. */
export function tryCommand(file: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
      ...(options.cwd ? { cwd: options.cwd } : {}),
      ...(options.env ? { env: { ...process.env, ...options.env } } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      options.onOutput?.(text);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", (cause) => {
      if (options.signal?.aborted) reject(options.signal.reason);
      else reject(commandFailed(file, args, cause.message, cause));
    });
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}

/** Runs a program that must succeed; returns its standard output. Throws `internal.command_failed` with what it said. */
export async function runCommand(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await tryCommand(file, args, options);
  if (result.code === 0) return result.stdout;
  throw commandFailed(
    file,
    args,
    `exit ${result.code ?? "by signal"}: ${result.stderr.trim() || result.stdout.trim()}`,
  );
}

function commandFailed(file: string, args: readonly string[], why: string, cause?: unknown): CloudError {
  return new CloudError("internal", "internal.command_failed", "A helper program failed on the host.", {
    internal: `${why} (${[file, ...args].join(" ").slice(0, 400)})`,
    fields: { program: file },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Path, size and time of change of the program that `file` would run, so that a new version of it differs; undefined when there is none. */
export async function installedAs(file: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, file);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return `${path} ${found.size} ${found.mtimeMs}`;
  }
  return undefined;
}
