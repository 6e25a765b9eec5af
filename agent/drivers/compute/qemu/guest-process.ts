import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

/** Pid of the live process that `pidFile` names, provided that its command line has `mark`; null when there is none. */
export async function livePid(pidFile: string, mark: string): Promise<number | null> {
  const text = await readFile(pidFile, "utf8").catch(() => "");
  const pid = Number.parseInt(text, 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) return null;
  return (await commandLine(pid)).includes(mark) ? pid : null;
}

/** Arguments of a process; empty when it is gone or a zombie. */
export async function commandLine(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text.split("\0").filter((part) => part !== "");
}

/** Whether the process is a QEMU program that works for this server: its id is in the paths that it was given. */
export async function isQemuOf(serverId: string, pid: number): Promise<boolean> {
  const [program = "", ...args] = await commandLine(pid);
  return basename(program).startsWith("qemu-") && args.some((arg) => arg.includes(serverId));
}

/** Kills the process and returns when it is gone for certain. Throws `compute.process_immortal` when it is not. */
export async function killForCertain(pid: number, clock: Clock): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
    throw error;
  }
  if (await goneWithin(pid, 10_000, clock)) return;
  throw new CloudError("internal", "compute.process_immortal", "A guest's process does not end.", {
    internal: `pid ${pid} survives SIGKILL`,
  });
}

/** True once the process holds nothing any more: one that is still exiting has no arguments, but keeps its locks and sockets. */
export async function goneWithin(pid: number, limitMs: number, clock: Clock): Promise<boolean> {
  const until = clock.now() + limitMs;
  const first = await processStat(pid);
  for (let now = first; holds(now) && now.startTime === first?.startTime; now = await processStat(pid)) {
    if (clock.now() >= until) return false;
    await sleep(clock, 20);
  }
  return true;
}

/** Waits for the process of the pid file if it is on its way out. */
export async function exited(pidFile: string, clock: Clock): Promise<void> {
  const pid = Number.parseInt(await readFile(pidFile, "utf8").catch(() => ""), 10);
  if ((await processStat(pid))?.exiting) await goneWithin(pid, 10_000, clock);
}

interface ProcessStat {
  state: string;
  exiting: boolean;
  /** Ticks since the machine's start: with the pid, the identity of the process. */
  startTime: string;
}

const PF_EXITING = 0x4;

async function processStat(pid: number): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  // Counted from behind the name, which may hold spaces and parentheses; see proc(5).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", exiting: (Number(fields[6]) & PF_EXITING) !== 0, startTime: fields[19] ?? "" };
}

/** A zombie has given everything back. */
function holds(stat: ProcessStat | undefined): stat is ProcessStat {
  return stat !== undefined && !["Z", "X"].includes(stat.state);
}

/** Ends the helper process of a pid file, if it is the one marked, and forgets the file. */
export async function endHelper(pidFile: string, mark: string, clock: Clock): Promise<void> {
  const pid = await livePid(pidFile, mark);
  if (pid !== null) await killForCertain(pid, clock);
  await rm(pidFile, { force: true });
}
