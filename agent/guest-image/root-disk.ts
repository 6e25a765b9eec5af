import { chmod, copyFile, cp, mkdir, readdir, realpath, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { runCommand } from "../process/run-command.ts";

const FOLDERS = ["bin", "sbin", "dev", "proc", "sys", "tmp", "run", "mnt", "root", "lib64", "lib/x86_64-linux-gnu"];
const MORE_FOLDERS = ["usr/bin", "usr/sbin", "usr/lib", "etc/qemu", "var/run", "var/lib", "var/log"];
const ROOT_SIZE_MIB = 64;

/**
 * Makes the guest's root disk (qcow2, ext4): busybox with its applets, the guest agent with its libraries, and the files
 * of `files`. `work` is a scratch folder, `unpacked` holds the unpacked packages. Needs no root.
 */
export async function buildRootDisk(
  paths: { unpacked: string; files: string; work: string; target: string },
  signal?: AbortSignal,
): Promise<void> {
  const options = signal ? { signal } : {};
  const root = join(paths.work, "root");
  for (const folder of [...FOLDERS, ...MORE_FOLDERS]) await mkdir(join(root, folder), { recursive: true });
  await installBusybox(paths.unpacked, root);
  await installGuestAgent(paths.unpacked, root);
  await cp(paths.files, root, { recursive: true });
  for (const program of await readdir(join(paths.files, "sbin"))) await chmod(join(root, "sbin", program), 0o755);
  for (const program of ["init", "etc/acpi/PWRF/00000080"]) await chmod(join(root, program), 0o755);

  const raw = join(paths.work, "root.raw");
  await writeFile(raw, "");
  await truncate(raw, ROOT_SIZE_MIB * 1024 * 1024);
  const features = ["-t", "ext4", "-O", "^metadata_csum_seed", "-E", "root_owner=0:0"];
  await runCommand("mke2fs", ["-q", ...features, "-L", "root", "-m", "0", "-d", root, raw], options);
  await runCommand("qemu-img", ["convert", "-q", "-c", "-O", "qcow2", raw, paths.target], options);
}

/** One binary, a link per applet. The binary's own name must not become a link to itself. */
async function installBusybox(unpacked: string, root: string): Promise<void> {
  const busybox = join(root, "bin/busybox");
  await copyFile(join(unpacked, "bin/busybox"), busybox);
  const applets = (await runCommand(busybox, ["--list"])).split("\n").filter((name) => name !== "");
  for (const applet of applets) if (applet !== "busybox") await symlink("/bin/busybox", join(root, "bin", applet));
}

async function installGuestAgent(unpacked: string, root: string): Promise<void> {
  const agent = join(unpacked, "usr/sbin/qemu-ga");
  const loader = join(unpacked, "lib64/ld-linux-x86-64.so.2");
  await copyFile(agent, join(root, "usr/sbin/qemu-ga"));
  await copyFile(await realpath(loader), join(root, "lib64/ld-linux-x86-64.so.2"));
  const libraryPath = ["lib", "usr/lib"].map((dir) => join(unpacked, dir, "x86_64-linux-gnu")).join(":");
  const list = await runCommand(await realpath(loader), ["--library-path", libraryPath, "--list", agent]);
  for (const [, library] of list.matchAll(/=> (\/\S+)/g)) {
    if (library === undefined || basename(library).startsWith("ld-linux")) continue;
    await copyFile(await realpath(library), join(root, "lib/x86_64-linux-gnu", basename(library)));
  }
}
