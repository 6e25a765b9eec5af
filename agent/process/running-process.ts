import { readFile } from "node:fs/promises";
import { type Clock, sleep } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

const DIES_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 10;

/** Arguments of a process; empty when it is gone or a zombie. */
export async function commandLine(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text.split("\0").filter((part) => part !== "");
}

/**
 * Ticks since the machine's start: with the pid, the identity of the process. Undefined when it is gone or a zombie, which has given
 * everything back.
 */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await processStat(pid);
  return stat === undefined || ["Z", "X"].includes(stat.state) ? undefined : stat.startTime;
}

const PF_EXITING = 0x4;

/** On its way out: it has no arguments any more, but keeps its locks and sockets. */
export async function isExiting(pid: number): Promise<boolean> {
  return (((await processStat(pid))?.flags ?? 0) & PF_EXITING) !== 0;
}

/** Kills the process and returns when it is gone for certain. Throws `agent.process_immortal` when it is not. */
export async function killForCertain(pid: number, clock: Clock): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
    throw error;
  }
  if (await goneWithin(pid, DIES_WITHIN_MS, clock)) return;
  throw new CloudError("internal", "agent.process_immortal", "A process on the host does not end.", {
    internal: `pid ${pid} survives SIGKILL`,
  });
}

/** True once the process holds nothing any more. */
export async function goneWithin(pid: number, limitMs: number, clock: Clock): Promise<boolean> {
  const until = clock.now() + limitMs;
  const first = await startTimeOf(pid);
  while (first !== undefined && (await startTimeOf(pid)) === first) {
    if (clock.now() >= until) return false;
    await sleep(clock, LOOK_EVERY_MS);
  }
  return true;
}

interface ProcessStat {
  state: string;
  flags: number;
  startTime: string;
}

async function processStat(pid: number): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  if (text === "") return undefined;
  // Counted from behind the name, which may hold spaces and parentheses; see proc(5).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", flags: Number(fields[6]), startTime: fields[19] ?? "" };
}
