import { readFile, rm } from "node:fs/promises";
import type { Clock } from "../../kernel/clock/clock.ts";
import { commandLine, goneWithin, isExiting, killForCertain } from "./running-process.ts";

const EXITS_WITHIN_MS = 10_000;

/** Pid of the live process that `pidFile` names, provided that its command line has `mark`; null when there is none. */
export async function livePid(pidFile: string, mark: string): Promise<number | null> {
  const pid = await pidIn(pidFile);
  return pid !== null && (await commandLine(pid)).includes(mark) ? pid : null;
}

/** Waits for the process of the pid file if it is on its way out. */
export async function exited(pidFile: string, clock: Clock): Promise<void> {
  const pid = await pidIn(pidFile);
  if (pid !== null && (await isExiting(pid))) await goneWithin(pid, EXITS_WITHIN_MS, clock);
}

/** Ends the helper process of a pid file, if it is the one marked, and forgets the file. */
export async function endHelper(pidFile: string, mark: string, clock: Clock): Promise<void> {
  const pid = await livePid(pidFile, mark);
  if (pid !== null) await killForCertain(pid, clock);
  await rm(pidFile, { force: true });
}

async function pidIn(pidFile: string): Promise<number | null> {
  const pid = Number.parseInt(await readFile(pidFile, "utf8").catch(() => ""), 10);
  return Number.isSafeInteger(pid) && pid > 1 ? pid : null;
}
