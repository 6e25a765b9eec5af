import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { commandLine, startTimeOf } from "../../../process/running-process.ts";

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

/** Pids of the storage daemons of this machine that have an argument which contains `mark`. */
export async function daemonsMarked(mark: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const [program = "", ...args] = await commandLine(pid);
      return basename(program) === "qemu-storage-daemon" && args.some((arg) => arg.includes(mark)) ? [pid] : [];
    }),
  );
  return marked.flat();
}

async function thisBoot(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
