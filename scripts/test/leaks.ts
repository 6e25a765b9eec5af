import { readdirSync, readFileSync } from "node:fs";

/** Names of network namespaces that tests make start with this. */
export const NETNS_PREFIX = "plt";

/**
 * What the tests left behind, one line each: processes that name the run's folder in their command line, network namespaces
 * with the tests' prefix that were not there before, and things of ours in the temporary folder. What is still ending gets
 * `patienceMs` to do so.
 */
export async function findLeaks(options: LeakSearch, patienceMs = 3000): Promise<string[]> {
  for (let waitedMs = 0; ; waitedMs += 100) {
    const leaks = leaksNow(options);
    if (leaks.length === 0 || waitedMs >= patienceMs) return leaks;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Ends the processes among the leaks; they name our folder, so they are ours. */
export function killProcessesNaming(text: string): void {
  for (const { pid } of processesNaming(text)) unlessGone(() => process.kill(pid, "SIGKILL"));
}

interface LeakSearch {
  runFolder: string;
  temporary: string;
  namespacesBefore: readonly string[];
}

function leaksNow(options: { runFolder: string; temporary: string; namespacesBefore: readonly string[] }): string[] {
  const leaks = processesNaming(options.runFolder).map(({ pid, command }) => `process ${pid}: ${command}`);
  for (const name of testNamespaces())
    if (!options.namespacesBefore.includes(name)) leaks.push(`network namespace ${name}`);
  for (const name of readdirSync(options.temporary))
    if (name.startsWith("pileus") || name.startsWith(NETNS_PREFIX)) leaks.push(`${options.temporary}/${name}`);
  return leaks;
}

export function testNamespaces(): string[] {
  return entries("/run/netns").filter((name) => name.startsWith(NETNS_PREFIX));
}

function processesNaming(text: string): { pid: number; command: string }[] {
  return entries("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => ({ pid: Number(name), command: commandLine(name) }))
    .filter(({ command }) => command.includes(text));
}

function entries(folder: string): string[] {
  return unlessGone(() => readdirSync(folder)) ?? [];
}

function commandLine(pid: string): string {
  return (
    unlessGone(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))
      ?.replaceAll("\0", " ")
      .trim() ?? ""
  );
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
