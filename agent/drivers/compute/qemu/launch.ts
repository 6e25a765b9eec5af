import { chmod, open, readFile, stat } from "node:fs/promises";
import { sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { runCommand } from "../../../process/run-command.ts";
import { killForCertain } from "../../../process/running-process.ts";
import type { GuestSpec } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import { insideNetns } from "../network/ip-command.ts";
import { commandLine, QEMU } from "./command-line.ts";
import { writeConfigDrive } from "./config-drive.ts";
import { bootFiles } from "./disks.ts";
import { requireNotFenced } from "./fence-marker.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { unreachable } from "./volumes.ts";

/** A kernel does not fit into less and then restarts in a loop without a word. */
const SMALLEST_RAM_MIB = 96;
/** When a guest that says nothing is taken for booted. */
const SILENT_BOOT_MS = 20_000;

/** Throws `compute.ram_too_small`. */
export function checkSpec(spec: GuestSpec): void {
  if (spec.ramMiB >= SMALLEST_RAM_MIB) return;
  const text = `A server needs at least ${SMALLEST_RAM_MIB} MiB of memory.`;
  throw new CloudError("invalid", "compute.ram_too_small", text);
}

/**
 * Starts the guest's process with its cards on the host's networks. The disk must exist. Returns when the process answers;
 * the guest's own boot goes on. Under TCG it waits for its turn to boot.
 */
export async function launch(
  host: Host,
  guest: Guest,
  options: { rootDisk: string | null; start: "running" | "paused" | "incoming" },
  call: Call,
): Promise<void> {
  const { spec, files } = guest;
  checkSpec(spec);
  const boot = await bootFiles(spec, call);
  await writeConfigDrive(spec, files.configDrive, call.signal);
  for (const nic of spec.nics) await host.network?.ensureTap(nic);
  // QEMU appends; a file of its own making would be open to the group.
  await (await open(files.serialLog, "a", 0o600)).close();
  const consoleBefore = (await stat(files.serialLog).catch(() => undefined))?.size ?? 0;
  const boots = options.start === "running" && host.accelerator === "tcg";
  const giveBack = boots ? await host.bootSlots.take(call.signal) : undefined;
  try {
    const { accelerator, options: settings } = host;
    const plan = { ...options, spec, files, boot, accelerator, network: settings.network };
    await guest.release();
    await runCommand(...insideNetns(host.netns, QEMU, commandLine(plan))).catch(asUnreachableVolume);
    for (const socket of [files.qmp, files.agent, files.serial]) await chmod(socket, 0o600);
    await endIfFenced(host, guest, call);
    await guest.update({ started: { vcpus: spec.vcpus, ramMiB: spec.ramMiB } });
    await guest.qmp();
  } catch (error) {
    await giveBack?.();
    throw error;
  }
  if (giveBack) host.inBackground("watching a boot", whenBooted(host, guest, consoleBefore).finally(giveBack));
}

/** QEMU names the argument that it failed at: throws `compute.volume_unreachable` where that is a connection to a volume's server. */
function asUnreachableVolume(error: unknown): never {
  const why = error instanceof CloudError ? (error.internal ?? "") : "";
  throw /^exit \d+: \S+: -blockdev \{"driver":"nbd"/.test(why) ? unreachable(why) : error;
}

/** A fence that came while the process was being started has not seen it. */
async function endIfFenced(host: Host, guest: Guest, call: Call): Promise<void> {
  try {
    await requireNotFenced(host.options.stateDir, guest.id, call.epoch);
  } catch (error) {
    const pid = await guest.pid();
    if (pid !== null) await killForCertain(pid, host.options.clock);
    throw error;
  }
}

/** Resolves when the guest's console says so, the guest is gone, or it has had its time. */
async function whenBooted(host: Host, guest: Guest, consoleBefore: number): Promise<void> {
  const { clock } = host.options;
  const until = clock.now() + SILENT_BOOT_MS;
  const pid = await guest.pid();
  while (clock.now() < until && pid !== null && (await guest.pid()) === pid) {
    if ((await readFile(guest.files.serialLog, "latin1").catch(() => "")).includes("BOOT-OK", consoleBefore)) return;
    await sleep(clock, 250, host.closing);
  }
}
