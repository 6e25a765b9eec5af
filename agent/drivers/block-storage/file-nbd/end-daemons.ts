import type { Clock } from "../../../../kernel/clock/clock.ts";
import { killForCertain } from "../../../process/running-process.ts";
import { daemonsMarked } from "./process-identity.ts";
import { Site } from "./site.ts";

/**
 * Ends every daemon that serves from these arrays, when no agent and no guest works with them any more. Kernel and disk keep what was
 * acknowledged; second copies count as stale until volumes are served again.
 */
export async function endStorageDaemons(directories: readonly string[], clock: Clock): Promise<void> {
  for (const directory of directories) {
    for (const pid of await daemonsMarked(`.${new Site("", directory).tag}-`)) await killForCertain(pid, clock);
  }
}
