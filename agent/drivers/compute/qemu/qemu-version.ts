import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { installedAs, tryCommand } from "../../../process/run-command.ts";
import { QEMU } from "./command-line.ts";

/** What a binary said when it was last asked: starting QEMU for its version takes longer than checking that it is the same. */
const known = new Map<string, number>();

/** Version of the installed QEMU; 7.2.4 is 7002004, as OpenStack counts. Throws `compute.driver_unavailable`. */
export async function qemuVersion(): Promise<number> {
  const binary = await installedAs(QEMU);
  const remembered = binary === undefined ? undefined : known.get(binary);
  if (remembered !== undefined) return remembered;
  const version = await askVersion();
  known.clear();
  if (binary !== undefined) known.set(binary, version);
  return version;
}

async function askVersion(): Promise<number> {
  const { stdout } = await tryCommand(QEMU, ["--version"]).catch(() => ({ stdout: "" }));
  const [, major, minor, micro] = /version (\d+)\.(\d+)\.(\d+)/.exec(stdout) ?? [];
  if (major === undefined) {
    throw new CloudError("unavailable", "compute.driver_unavailable", "QEMU is not installed on the host.", {
      internal: `${QEMU} not found; Debian package qemu-system-x86`,
    });
  }
  return Number(major) * 1_000_000 + Number(minor) * 1_000 + Number(micro);
}
