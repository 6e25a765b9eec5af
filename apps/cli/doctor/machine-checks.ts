import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { whyNoNamespaces } from "../../../agent/drivers/compute/network/fabric.ts";
import { probeKvm } from "../../../agent/drivers/compute/qemu/kvm-probe.ts";
import { qemuVersion } from "../../../agent/drivers/compute/qemu/qemu-version.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import type { Machine } from "../machine.ts";
import { CAPABILITIES, type CapabilityName, missingPackages } from "../system-packages.ts";
import type { Finding } from "./finding.ts";

export function checkNode(): Finding {
  const size = `${availableParallelism()} CPUs, ${(totalmem() / 2 ** 30).toFixed(1)} GiB memory`;
  const found = `${process.version} for ${process.platform}-${process.arch} (${process.execPath}); ${size}`;
  const machine = process.platform === "linux" && process.arch === "x64";
  return machine
    ? { check: "node", level: "ok", found }
    : { check: "node", level: "limited", found, advice: "Real virtual machines need Linux on x86-64." };
}

/** One finding per capability. Only what a cloud runs on is a problem when it is missing; what tests need is not. */
export function checkPackages(machine: Machine): Finding[] {
  return (Object.keys(CAPABILITIES) as CapabilityName[]).map((name) => {
    const check = `packages: ${name}`;
    const { title } = CAPABILITIES[name];
    const missing = missingPackages(name, machine);
    if (missing.length === 0) return { check, level: "ok", found: `all there, for ${title}` };
    const level = name.startsWith("test-") ? "limited" : "problem";
    return {
      check,
      level,
      found: `missing for ${title}: ${missing.join(", ")}`,
      advice: `apt-get install --no-install-recommends ${missing.join(" ")}`,
    };
  });
}

export async function checkDrivers(machine: Machine): Promise<Finding[]> {
  const simulated: Finding = { check: "driver: sim", level: "ok", found: "always works: pileus up --simulate 3" };
  if (missingPackages("compute", machine).length > 0) {
    return [simulated, { check: "driver: qemu", level: "problem", found: "its packages are missing, see above" }];
  }
  const version = await qemuVersion().catch(() => null);
  if (version === null)
    return [simulated, { check: "driver: qemu", level: "problem", found: "QEMU does not tell its version" }];
  const text = [version / 1_000_000, (version / 1000) % 1000, version % 1000].map(Math.floor).join(".");
  return [simulated, { check: "driver: qemu", level: "ok", found: `QEMU ${text}` }];
}

export async function checkNamespaces(): Promise<Finding> {
  const reason = await whyNoNamespaces();
  const check = "namespaces";
  if (reason === null)
    return { check, level: "ok", found: "possible: guests on different hosts of this machine reach each other" };
  return {
    check,
    level: "limited",
    found: `not possible: ${reason}`,
    advice: "Guests get user-mode networking and do not reach each other. Run as root for more.",
  };
}

/** Whether a kernel really starts under KVM. Without the guest image, only whether the device is there. */
export async function checkKvm(stateDir: string): Promise<Finding> {
  const check = "kvm";
  const guest = await guestImageIn(join(stateDir, "guest-image"));
  if (guest === null) {
    const found = existsSync("/dev/kvm")
      ? "/dev/kvm is there; whether it works is tried with the guest image, which the first 'pileus up' builds"
      : "/dev/kvm is not there: guests run emulated (TCG), slower";
    return { check, level: existsSync("/dev/kvm") ? "ok" : "limited", found };
  }
  const { accelerator, reason } = await probeKvm(guest, systemClock);
  return accelerator === "kvm"
    ? { check, level: "ok", found: `works: ${reason}` }
    : { check, level: "limited", found: `guests run emulated (TCG), slower: ${reason}` };
}

async function guestImageIn(cacheDir: string): Promise<{ kernel: string; ramdisk: string } | null> {
  const names = await readdir(cacheDir).catch(() => []);
  for (const name of names.filter((each) => each.startsWith("pileus-guest-"))) {
    const guest = { kernel: join(cacheDir, name, "vmlinuz"), ramdisk: join(cacheDir, name, "initrd.gz") };
    if (existsSync(guest.kernel) && existsSync(guest.ramdisk)) return guest;
  }
  return null;
}
