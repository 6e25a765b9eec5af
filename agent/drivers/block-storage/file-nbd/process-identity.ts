import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Clock } from "../../../../kernel/clock/clock.ts";
import { sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

const DIES_WITHIN_MS = 10_000;

/** One process for all time: a pid is used again, with another start time or in another boot of the machine. */
export interface ProcessIdentity {
  host: string;
  bootId: string;
  pid: number;
  /** Clock ticks since the machine booted. */
  startTime: string;
}

/** Undefined when there is no such process. */
export async function identify(pid: number, host: string): Promise<ProcessIdentity | undefined> {
  const startTime = await startTimeOf(pid);
  return startTime === undefined ? undefined : { host, bootId: await thisBoot(), pid, startTime };
}

/**
 * Whether that very process lives. Throws `storage.fencing_unsupported` about a process of another machine: nobody here can
 * tell, and nobody may guess.
 */
export async function isAlive(identity: ProcessIdentity, host: string): Promise<boolean> {
  if (identity.bootId === (await thisBoot())) return (await startTimeOf(identity.pid)) === identity.startTime;
  if (identity.host === host) return false;
  throw new CloudError("unavailable", "storage.fencing_unsupported", "A volume is served by another machine.", {
    internal: `${identity.host} pid ${identity.pid}`,
  });
}

/** Returns when the process is gone for certain. Throws `storage.process_immortal` when it is not. */
export async function killForCertain(pid: number, clock: Clock): Promise<void> {
  const started = await startTimeOf(pid);
  if (started === undefined) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
    throw error;
  }
  const until = clock.now() + DIES_WITHIN_MS;
  while ((await startTimeOf(pid)) === started) {
    if (clock.now() >= until) {
      throw new CloudError("internal", "storage.process_immortal", "A storage process does not end.", {
        internal: `pid ${pid} survives SIGKILL`,
      });
    }
    await sleep(clock, 5);
  }
}

/** Pids of the storage daemons of this machine that have an argument which contains one of `marks`. */
export async function daemonsMarked(mark: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const [program = "", ...args] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
      return basename(program) === "qemu-storage-daemon" && args.some((arg) => arg.includes(mark)) ? [pid] : [];
    }),
  );
  return marked.flat();
}

/** Field 22 of /proc/pid/stat; undefined when the process is gone or a zombie, which holds nothing. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name may hold blanks and brackets.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" || state === "Z" || state === "X" ? undefined : rest[18];
}

async function thisBoot(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
