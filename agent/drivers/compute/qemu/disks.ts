import { constants } from "node:fs";
import { access, chmod, copyFile, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { runCommand } from "../../../process/run-command.ts";
import type { DiskMeasure, GuestSpec, ImageSource, RootDisk } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import { diskInfo } from "./disk-header.ts";
import { type HostFiles, writeAtomically } from "./guest-files.ts";

const GIB = 1024 ** 3;

/** The image under a guest's disk: path on this host and how to read it. */
interface Backing {
  path: string;
  format: "qcow2" | "raw";
}

/**
 * Makes the guest's root disk exist: a layer over the image, as large as the flavor says. An existing disk is kept, put over
 * this host's copy of the image, and grown while no process has it open. Null for a guest that has none.
 * Throws `compute.flavor_disk_too_small`, `compute.image_unsafe`.
 */
export async function ensureRootDisk(files: HostFiles, spec: GuestSpec, call: Call): Promise<string | null> {
  if (spec.rootDisk === null) return null;
  const { storage, image, sizeGiB } = spec.rootDisk;
  const path = files.rootDisk(spec.serverId, storage);
  const backing = await backingImage(files, spec.serverId, spec.rootDisk, call);
  if (!(await exists(path))) {
    await createOverlay(path, backing, await wantedBytes(backing, image, sizeGiB), call);
    return path;
  }
  const now = await diskInfo(path);
  if (now.backing !== null && now.backing !== backing.path) await rebase(path, backing, call);
  const wanted = sizeGiB * GIB;
  if (wanted > now.virtualBytes) {
    await runCommand("qemu-img", ["resize", "-q", "-f", "qcow2", path, String(wanted)], { signal: call.signal });
  }
  return path;
}

/** What the guest's root disk takes: its own layer, and the image that another host may still have to fetch. */
export async function measureRootDisk(files: HostFiles, { serverId, rootDisk }: GuestSpec): Promise<DiskMeasure> {
  if (rootDisk === null) return { sizeBytes: 0, allocatedBytes: 0 };
  const { virtualBytes, allocatedBytes } = await diskInfo(files.rootDisk(serverId, rootDisk.storage));
  return { sizeBytes: virtualBytes, allocatedBytes: allocatedBytes + rootDisk.image.sizeBytes };
}

/** Points a layer that was copied from another host at this host's copy of the same image. */
export async function putOverImage(
  files: HostFiles,
  serverId: string,
  rootDisk: RootDisk,
  path: string,
  call: Call,
): Promise<void> {
  await rebase(path, await backingImage(files, serverId, rootDisk, call), call);
}

/** Throws `compute.disk_damaged` unless the layer is sound. */
export async function checkDisk(path: string, signal: AbortSignal): Promise<void> {
  await runCommand("qemu-img", ["check", "-q", "-f", "qcow2", path], { signal, timeoutMs: 600_000 }).catch((cause) => {
    throw new CloudError("conflict", "compute.disk_damaged", "The copied disk is damaged.", { cause });
  });
}

/** Kernel and RAM disk of a guest that boots directly. */
export async function bootFiles(
  spec: GuestSpec,
  call: Call,
): Promise<{ kernel: string; ramdisk: string | null } | null> {
  if (spec.kernel === null) return null;
  const ramdisk = spec.ramdisk === null ? null : await call.image(spec.ramdisk);
  return { kernel: await call.image(spec.kernel), ramdisk };
}

/**
 * Notes that a disk on shared storage is this host's now: the host where the guest was last made to be. Only it may remove
 * the disk, so that a host that is left behind cannot, however often it is told to.
 */
export async function claimDisk(files: HostFiles, { serverId, rootDisk }: GuestSpec, host: string): Promise<void> {
  if (rootDisk?.storage === "shared") await writeAtomically(ownerFile(files, serverId), host);
}

/** Removes the guest's disks from this host's storage, and from the shared store when that is permitted. */
export async function removeDisks(
  files: HostFiles,
  serverId: string,
  shared: { ownedBy: string } | "always" | "never",
): Promise<void> {
  await rm(files.instanceDir(serverId, "local"), { recursive: true, force: true });
  if (!files.hasSharedDir || shared === "never") return;
  if (shared !== "always" && !(await mayBeOwnedBy(files, serverId, shared.ownedBy))) return;
  await rm(files.instanceDir(serverId, "shared"), { recursive: true, force: true });
}

/** A disk that nobody has claimed was never used by a guest. A store that does not answer may hold another's claim. */
async function mayBeOwnedBy(files: HostFiles, serverId: string, host: string): Promise<boolean> {
  const noted = await readFile(ownerFile(files, serverId), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return host;
    throw error;
  });
  return noted === host;
}

const ownerFile = (files: HostFiles, serverId: string): string => join(files.instanceDir(serverId, "shared"), "owner");

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A disk on shared storage needs its image there too: every host must find it under the same path. */
async function backingImage(files: HostFiles, serverId: string, rootDisk: RootDisk, call: Call): Promise<Backing> {
  const { storage, image } = rootDisk;
  const format = image.format === "qcow2" ? "qcow2" : "raw";
  if (storage === "local") return { path: await call.image(image), format };
  const images = join(files.sharedDir(), "images");
  const path = join(images, `${image.sha256}.${format}`);
  if (await exists(path)) return { path, format };
  await mkdir(images, { recursive: true, mode: 0o700 });
  const partial = join(images, `.${serverId}.partial`);
  await copyFile(await call.image(image), partial, constants.COPYFILE_FICLONE);
  await rename(partial, path);
  return { path, format };
}

/** Size of a new disk. A flavor with no size takes the image's. */
async function wantedBytes(backing: Backing, image: ImageSource, sizeGiB: number): Promise<number> {
  const info = await diskInfo(backing.path, backing.format);
  if (info.backing !== null || info.hasDataFile) {
    throw new CloudError("invalid", "compute.image_unsafe", "The image refers to another file.", {
      internal: `image ${image.imageId} names a file of the host`,
    });
  }
  if (sizeGiB === 0) return info.virtualBytes;
  if (sizeGiB * GIB >= info.virtualBytes) return sizeGiB * GIB;
  throw new CloudError("invalid", "compute.flavor_disk_too_small", "The flavor's disk is too small for the image.");
}

async function createOverlay(path: string, backing: Backing, bytes: number, call: Call): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  const partial = `${path}.new`;
  await rm(partial, { force: true });
  const over = ["-f", "qcow2", "-F", backing.format, "-b", backing.path];
  await runCommand("qemu-img", ["create", "-q", ...over, partial, String(bytes)], { signal: call.signal });
  await chmod(partial, 0o600);
  await rename(partial, path);
}

async function rebase(path: string, backing: Backing, call: Call): Promise<void> {
  const args = ["rebase", "-q", "-u", "-f", "qcow2", "-F", backing.format, "-b", backing.path, path];
  await runCommand("qemu-img", args, { signal: call.signal });
}
