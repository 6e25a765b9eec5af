import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The machine we run on, as far as installing packages is concerned. */
export interface Machine {
  readonly isRoot: boolean;
  /** Whether a command is installed, or, given a path, that file. */
  has(commandOrFile: string): boolean;
  run(argv: readonly string[]): Promise<{ code: number; output: string }>;
  /** While `act` runs, packages being installed start no services. */
  withoutServiceStarts<T>(act: () => Promise<T>): Promise<T>;
}

/** Debian keeps these off an ordinary user's PATH, and PostgreSQL's off everybody's. */
const MORE_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"];

/** The real machine. `env` is the process's environment; `policyFile` is where Debian asks whether services may start. */
export function localMachine(
  env: Readonly<Record<string, string | undefined>>,
  { policyFile = "/usr/sbin/policy-rc.d" }: { policyFile?: string } = {},
): Machine {
  const folders = [...(env.PATH ?? "").split(delimiter).filter((folder) => folder !== ""), ...MORE_FOLDERS];
  return {
    isRoot: process.getuid?.() === 0,
    has: (it) => (it.includes("/") ? [it] : folders.map((folder) => join(folder, it))).some(isThere),
    run: (argv) => run(argv, { ...env, DEBIAN_FRONTEND: "noninteractive" }),
    async withoutServiceStarts(act) {
      const ours = forbidServiceStarts(policyFile);
      try {
        return await act();
      } finally {
        if (ours) rmSync(policyFile, { force: true });
      }
    },
  };
}

const MARK = "# Pileus: no service starts while it installs packages.";

/**
 * False when the administrator has a policy already: that one stands. Ours forbids only while this process lives, so that
 * one left behind by a kill does no harm, and the next install replaces it.
 */
function forbidServiceStarts(policyFile: string): boolean {
  const present = readIfThere(policyFile);
  if (present !== null && !present.includes(MARK)) return false;
  const script = `#!/bin/sh\n${MARK}\n[ -d /proc/${process.pid} ] && exit 101\nexit 0\n`;
  rmSync(policyFile, { force: true });
  writeFileSync(policyFile, script, { mode: 0o755, flag: "wx" });
  return true;
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function readIfThere(path: string): string | null {
  return isThere(path) ? readFileSync(path, "utf8") : null;
}

function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  const [command = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
