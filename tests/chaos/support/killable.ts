import type { ChildProcess } from "node:child_process";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";

const STEP_MS = 100;

export const gone = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/** `kill -9`, unless told otherwise; returns when the process is gone. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (gone(child)) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill(signal);
  await ended;
}

/** Waits for a condition with a limit. */
export async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const limit = systemClock.now() + limitMs;
  while (!(await condition())) {
    if (systemClock.now() > limit) throw new Error(`waited in vain until ${what}`);
    await sleep(systemClock, STEP_MS);
  }
}
