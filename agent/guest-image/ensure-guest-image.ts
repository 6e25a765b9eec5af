import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { type CpioEntry, cpioArchive } from "./cpio-archive.ts";
import { fetchPackages, guestPackages } from "./debian-packages.ts";
import { modulesInLoadOrder } from "./kernel-modules.ts";
import { buildRootDisk } from "./root-disk.ts";

/** Paths of the three files of a bootable guest. `root` is qcow2; `kernel` and `ramdisk` are for direct kernel boot. */
export interface GuestImage {
  /** Changes with the recipe: `pileus-guest-3f2a91c07b1d`. */
  name: string;
  kernel: string;
  ramdisk: string;
  root: string;
}

export interface GuestImageOptions {
  /** Called with a percentage and what is being done. */
  onProgress?: (percent: number, doing: string) => void;
  signal?: AbortSignal;
}

/** Raise when the builder changes in a way that the files of `rootfs/` and `initrd/` do not show. */
const RECIPE_VERSION = 2;
const SOURCES = fileURLToPath(new URL(".", import.meta.url));
/** Order matters: what the root disk needs comes first. */
const MODULES = ["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "vfat", "nls_ascii", "nls_cp437", "nls_utf8"];
const LATE_MODULES = ["virtio_net", "virtio_console", "virtio_balloon", "virtio_rng", "button", "isofs", "evdev"];

/**
 * The tiny guest of this release of Pileus, built from Debian packages when `cacheDir` does not hold it yet (a few seconds,
 * ~33 MB of download). Safe to call from several processes at once: the finished folder appears in one step.
 *
 * Throws `guest_image.no_packages` when the package lists are missing, `internal.command_failed` when a tool fails.
 */
export async function ensureGuestImage(cacheDir: string, options: GuestImageOptions = {}): Promise<GuestImage> {
  const name = `pileus-guest-${await recipeDigest()}`;
  const folder = join(cacheDir, name);
  const image = {
    name,
    kernel: join(folder, "vmlinuz"),
    ramdisk: join(folder, "initrd.gz"),
    root: join(folder, "root.qcow2"),
  };
  if (await exists(folder)) return image;
  if (process.arch !== "x64") {
    throw new CloudError(
      "unavailable",
      "guest_image.unsupported_machine",
      "The guest image can be built on x86-64 only.",
    );
  }
  await mkdir(cacheDir, { recursive: true });
  const work = await mkdtemp(join(cacheDir, ".guest-build-"));
  try {
    const built = await build(work, options);
    await publish(built, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  options.onProgress?.(100, "guest image ready");
  return image;
}

async function build(work: string, { onProgress, signal }: GuestImageOptions): Promise<string> {
  const unpacked = join(work, "unpacked");
  const out = join(work, "out");
  await mkdir(out);
  onProgress?.(0, "downloading Debian packages for the guest image");
  await fetchPackages(await guestPackages(signal), { downloads: join(work, "downloads"), unpacked }, signal);
  onProgress?.(60, "building the guest's initial RAM disk");
  await buildKernelAndRamdisk(unpacked, out);
  onProgress?.(75, "building the guest's root disk");
  const target = join(out, "root.qcow2");
  await buildRootDisk({ unpacked, files: join(SOURCES, "rootfs"), work, target }, signal);
  return out;
}

async function buildKernelAndRamdisk(unpacked: string, out: string): Promise<void> {
  const boot = join(unpacked, "boot");
  const kernel = (await readdir(boot)).find((file) => file.startsWith("vmlinuz-"));
  const [release] = await readdir(join(unpacked, "lib/modules"));
  if (kernel === undefined || release === undefined) {
    throw new CloudError("internal", "guest_image.no_kernel", "The kernel package holds no kernel.");
  }
  await rename(join(boot, kernel), join(out, "vmlinuz"));
  const modules = await modulesInLoadOrder(join(unpacked, "lib/modules", release), [...MODULES, ...LATE_MODULES]);
  const folders = ["bin", "dev", "proc", "sys", "mods", "newroot"].map((path): CpioEntry => ({ path, mode: 0o040755 }));
  const archive = cpioArchive([
    ...folders,
    { path: "bin/busybox", mode: 0o100755, data: await readFile(join(unpacked, "bin/busybox")) },
    { path: "init", mode: 0o100755, data: await readFile(join(SOURCES, "initrd/init")) },
    { path: "mods/order", mode: 0o100644, data: Buffer.from(`${modules.map((m) => m.file).join("\n")}\n`) },
    ...modules.map((m): CpioEntry => ({ path: `mods/${m.file}`, mode: 0o100644, data: m.data })),
  ]);
  await writeFile(join(out, "initrd.gz"), gzipSync(archive, { level: 9 }));
}

/** The first builder wins; a later one finds the folder there and keeps it. */
async function publish(built: string, folder: string): Promise<void> {
  try {
    await rename(built, folder);
  } catch (error) {
    if (!(await exists(folder))) throw error;
  }
}

/** Digest of everything in this repository that the guest is made of. */
async function recipeDigest(): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([RECIPE_VERSION, MODULES, LATE_MODULES]));
  for (const part of ["rootfs", "initrd"]) {
    for (const file of (await readdir(join(SOURCES, part), { recursive: true })).sort()) {
      const path = join(SOURCES, part, file);
      if ((await stat(path)).isFile()) hash.update(`\0${part}/${file}\0`).update(await readFile(path));
    }
  }
  return hash.digest("hex").slice(0, 12);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
