import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { tryCommand } from "../../../process/run-command.ts";
import type { Fencing } from "../driver.ts";
import { isQemu, killForCertain, livePid } from "./guest-process.ts";
import type { Host } from "./host.ts";
import type { FenceTarget } from "./options.ts";

/**
 * Stands in for pulling a machine's power plug: kills every guest of another host of this machine. Throws
 * `compute.fencing_unsupported` for a host that this one has no hold on.
 */
export function fencing(host: Host): Fencing {
  return {
    async fence(name, serverId) {
      const target = name === host.options.host ? undefined : host.options.fenceTargets(name);
      if (!target) {
        throw new CloudError("invalid", "compute.fencing_unsupported", "The host cannot be fenced from here.");
      }
      const pids = await processesOf(target);
      host.options.log.warn({ fenced: name, server: serverId, pids }, "fencing a host");
      for (const pid of pids) await killForCertain(pid, host.options.clock);
      const left = await processesOf(target);
      if (left.length > 0) {
        throw new CloudError("unavailable", "compute.fencing_incomplete", "The host still runs guests.", {
          internal: `pids ${left.join(" ")}`,
        });
      }
    },
  };
}

/** By pid file and by namespace: either alone could miss one. */
async function processesOf(target: FenceTarget): Promise<number[]> {
  const pids = new Set<number>();
  const guests = join(resolve(target.stateDir), "guests");
  for (const name of await readdir(guests).catch(() => [])) {
    for (const file of ["qemu.pid", "export.pid"]) {
      const path = join(guests, name, file);
      const pid = await livePid(path, path);
      if (pid !== null) pids.add(pid);
    }
  }
  if (target.netns !== null) {
    const { stdout } = await tryCommand("ip", ["netns", "pids", target.netns]);
    for (const pid of stdout.split("\n").map(Number)) if (pid > 1 && (await isQemu(pid))) pids.add(pid);
  }
  return [...pids];
}
