import { spawn } from "node:child_process";
import { access, constants, readdir, readFile } from "node:fs/promises";
import { release } from "node:os";
import type { Clock } from "../../../../kernel/clock/clock.ts";
import type { Logger } from "../../../../kernel/log/logger.ts";
import { cpuModel, QEMU } from "./command-line.ts";
import { writeAtomically } from "./guest-files.ts";
import type { Accelerator } from "./options.ts";
import { qemuVersion } from "./qemu-version.ts";

/** A working KVM needs well under a second. */
const DEADLINE_MS = 6_000;
const MARKER = "KERNEL-OK";

export interface ProbeAnswer {
  accelerator: Accelerator;
  reason: string;
}

interface ProbeGuest {
  kernel: string;
  ramdisk: string;
}

/**
 * Finds out once whether KVM really runs a guest: that /dev/kvm exists proves nothing where the machine is itself a guest. The
 * answer is kept in `answerFile` until the host's kernel, its KVM modules or QEMU change.
 */
export async function chooseAccelerator(
  guest: ProbeGuest | null,
  answerFile: string,
  env: { clock: Clock; log: Logger },
): Promise<Accelerator> {
  if (guest === null) return "tcg";
  const about = await circumstances();
  const known = await readFile(answerFile, "utf8").then(JSON.parse, () => undefined);
  if (known?.about === about) return known.accelerator;
  const answer = await probeKvm(guest, env.clock);
  env.log.info({ ...answer }, "probed the accelerator");
  await writeAtomically(answerFile, JSON.stringify({ ...answer, about }));
  return answer.accelerator;
}

/** Boots a kernel under KVM and waits for it to say so. */
export async function probeKvm(guest: ProbeGuest, clock: Clock): Promise<ProbeAnswer> {
  const usable = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return { accelerator: "tcg", reason: "/dev/kvm is not there or not accessible" };
  const machine = ["-machine", "pc,accel=kvm,usb=off,vmport=off,graphics=off", "-cpu", cpuModel("kvm"), "-m", "128"];
  const boot = ["-kernel", guest.kernel, "-initrd", guest.ramdisk, "-append", "console=ttyS0 quiet no-root"];
  const rest = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"];
  return new Promise((resolve) => {
    const child = spawn(QEMU, [...machine, ...boot, ...rest], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    let complaint = "";
    const settle = (answer: ProbeAnswer) => {
      timer.cancel();
      child.kill("SIGKILL");
      resolve(answer);
    };
    const timer = clock.after(DEADLINE_MS, () =>
      settle({ accelerator: "tcg", reason: `a kernel did not start under KVM within ${DEADLINE_MS} ms` }),
    );
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      said += text;
      if (said.includes(MARKER)) settle({ accelerator: "kvm", reason: "a kernel started under KVM" });
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    child.on("error", (error) => settle({ accelerator: "tcg", reason: error.message }));
    child.on("exit", () => settle({ accelerator: "tcg", reason: `QEMU ended under KVM: ${complaint.trim()}` }));
  });
}

/** What the answer depends on. */
async function circumstances(): Promise<string> {
  const modules = (await readdir("/sys/module").catch(() => [])).filter((name) => name.startsWith("kvm"));
  return JSON.stringify([release(), modules.sort(), await qemuVersion()]);
}
