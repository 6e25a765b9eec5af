import { basename, join, resolve } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { livePid } from "../../../process/pid-file.ts";
import { tryCommand } from "../../../process/run-command.ts";
import { commandLine, killForCertain } from "../../../process/running-process.ts";
import type { Fencing } from "../driver.ts";
import { markFenced } from "./fence-marker.ts";
import { checkedId } from "./guest-files.ts";
import type { Host } from "./host.ts";
import type { FenceTarget } from "./options.ts";

/**
 * Stands in for pulling a machine's power plug: kills one guest of another host of this machine; the guests beside it may be
 * well. Throws `compute.fencing_unsupported` for a host that this one has no hold on.
 */
export function fencing(host: Host): Fencing {
  return {
    async fence(name, serverId, call) {
      const target = name === host.options.host ? undefined : host.options.fenceTargets(name);
      if (!target) {
        throw new CloudError("invalid", "compute.fencing_unsupported", "The host cannot be fenced from here.");
      }
      // First: what is launched after this look is ended by the launch itself.
      await markFenced(resolve(target.stateDir), serverId, call.epoch);
      const pids = await processesOf(target, serverId);
      host.options.log.warn({ fenced: name, server: serverId, pids }, "fencing a guest");
      for (const pid of pids) await killForCertain(pid, host.options.clock);
      const left = await processesOf(target, serverId);
      if (left.length > 0) {
        throw new CloudError("unavailable", "compute.fencing_incomplete", "The host still runs the guest.", {
          internal: `pids ${left.join(" ")}`,
        });
      }
    },
  };
}

/** By pid file and by namespace: either alone could miss one. */
async function processesOf(target: FenceTarget, serverId: string): Promise<number[]> {
  const pids = new Set<number>();
  for (const file of ["qemu.pid", "export.pid"]) {
    const path = join(resolve(target.stateDir), "guests", checkedId(serverId), file);
    const pid = await livePid(path, path);
    if (pid !== null) pids.add(pid);
  }
  if (target.netns !== null) {
    const { stdout } = await tryCommand("ip", ["netns", "pids", target.netns]);
    for (const pid of stdout.split("\n").map(Number)) if (pid > 1 && (await isQemuOf(serverId, pid))) pids.add(pid);
  }
  return [...pids];
}

/** Whether the process is a QEMU program that works for this server: its id is in the paths that it was given. */
async function isQemuOf(serverId: string, pid: number): Promise<boolean> {
  const [program = "", ...args] = await commandLine(pid);
  return basename(program).startsWith("qemu-") && args.some((arg) => arg.includes(serverId));
}
