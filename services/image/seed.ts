import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { queuedImage } from "./new-image.ts";
import type { ImageSummary } from "./public.ts";
import type { ImageContext } from "./settings.ts";
import { type FullImage, findImage, insertImage, summaryOf } from "./store/images.ts";
import type { ImageTables } from "./store/tables.ts";
import { uploadImage } from "./uploads.ts";

/** A file that is to be a public image. */
export interface ImageFile {
  readonly ownerProjectId: string;
  readonly name: string;
  readonly path: string;
  readonly diskFormat: "raw" | "qcow2" | "aki" | "ari" | "ami";
  readonly containerFormat: "bare" | "aki" | "ari" | "ami";
  readonly minDiskGiB?: number;
  readonly minRamMiB?: number;
  readonly properties?: Readonly<Record<string, string>>;
}

/** The files of a guest that boots by its kernel, as the guest image builder leaves them. */
export interface GuestFiles {
  readonly ownerProjectId: string;
  /** Name of the root disk's image; kernel and RAM disk are named after it. */
  readonly name: string;
  readonly kernel: string;
  readonly ramdisk: string;
  /** qcow2. */
  readonly root: string;
  readonly minDiskGiB?: number;
  readonly minRamMiB?: number;
}

/** Registers and uploads the file unless an active public image of that name holds the same bytes. */
export async function ensurePublicImage(context: ImageContext, file: ImageFile): Promise<ImageSummary> {
  const existing = await findByContent(context, file.name, await sha256Of(file.path));
  if (existing) return summaryOf(existing);
  const image = queuedImage(context, {
    owner: file.ownerProjectId,
    name: file.name,
    visibility: "public",
    diskFormat: file.diskFormat,
    containerFormat: file.containerFormat,
    ...(file.minDiskGiB === undefined ? {} : { minDiskGiB: file.minDiskGiB }),
    ...(file.minRamMiB === undefined ? {} : { minRamMiB: file.minRamMiB }),
    ...(file.properties === undefined ? {} : { properties: file.properties }),
  });
  await context.store.tx((t) => insertImage(t, image));
  await uploadImage(context, image, createReadStream(file.path));
  const uploaded = await findImage(context.store.read, image.row.id);
  if (uploaded) return summaryOf(uploaded);
  throw new CloudError("internal", "image.seed", "An unexpected error occurred.", {
    internal: "a seeded image is gone",
  });
}

/** The root disk's image, which names the images of its kernel and RAM disk. */
export async function ensureGuestImages(context: ImageContext, guest: GuestFiles): Promise<ImageSummary> {
  const { ownerProjectId, name } = guest;
  const kernel = await ensurePublicImage(context, {
    ownerProjectId,
    name: `${name}-kernel`,
    path: guest.kernel,
    diskFormat: "aki",
    containerFormat: "aki",
  });
  const ramdisk = await ensurePublicImage(context, {
    ownerProjectId,
    name: `${name}-ramdisk`,
    path: guest.ramdisk,
    diskFormat: "ari",
    containerFormat: "ari",
  });
  return await ensurePublicImage(context, {
    ownerProjectId,
    name,
    path: guest.root,
    diskFormat: "qcow2",
    containerFormat: "bare",
    minDiskGiB: guest.minDiskGiB ?? 0,
    minRamMiB: guest.minRamMiB ?? 0,
    properties: { kernel_id: kernel.id, ramdisk_id: ramdisk.id },
  });
}

async function findByContent(context: ImageContext, name: string, sha256: string): Promise<FullImage | undefined> {
  const row = await context.store.read
    .tables<ImageTables>()
    .selectFrom("images")
    .select("id")
    .where("sha256", "=", sha256)
    .where("name", "=", name)
    .where("status", "=", "active")
    .where("visibility", "=", "public")
    .executeTakeFirst();
  return row && (await findImage(context.store.read, row.id));
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
