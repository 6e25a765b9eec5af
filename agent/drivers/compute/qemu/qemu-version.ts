import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { tryCommand } from "../../../process/run-command.ts";
import { QEMU } from "./command-line.ts";

/** Version of the installed QEMU; 7.2.4 is 7002004, as OpenStack counts. Throws `compute.driver_unavailable`. */
export async function qemuVersion(): Promise<number> {
  const { stdout } = await tryCommand(QEMU, ["--version"]).catch(() => ({ stdout: "" }));
  const [, major, minor, micro] = /version (\d+)\.(\d+)\.(\d+)/.exec(stdout) ?? [];
  if (major === undefined) {
    throw new CloudError("unavailable", "compute.driver_unavailable", "QEMU is not installed on the host.", {
      internal: `${QEMU} not found; Debian package qemu-system-x86`,
    });
  }
  return Number(major) * 1_000_000 + Number(minor) * 1_000 + Number(micro);
}
