import { seconds } from "../../kernel/clock/clock.ts";
import type { CloudError } from "../../kernel/errors/cloud-error.ts";
import { virtualSizeOf } from "./domain/disk-header.ts";
import { badImage, imageNotFound, wrongStatus } from "./domain/faults.ts";
import type { ImageContext } from "./settings.ts";
import type { WrittenData } from "./store/image-files.ts";
import { type FullImage, findImage, transition } from "./store/images.ts";
import type { ImageTables } from "./store/tables.ts";

const BEAT_MS = seconds(10);
/** An upload that gave no sign of life for this long died with its process. */
export const STALLED_MS = seconds(120);

const NO_UPLOAD = { upload_id: null, upload_seen_at: null } as const;

/**
 * Takes an image's data: `queued` → `saving` → `active`. Whatever breaks it off leaves the image `queued` and no file.
 *
 * Throws `image.wrong_status` (409) unless queued, `image.invalid` without formats, `image.too_large`, `image.format_mismatch`,
 * `image.refers_to_file`, and `image.not_found` when the image was deleted meanwhile.
 */
export async function uploadImage(context: ImageContext, image: FullImage, data: AsyncIterable<Uint8Array>) {
  const { id, disk_format, container_format } = image.row;
  if (disk_format === null || container_format === null) {
    throw badImage("Properties disk_format and container_format must be set prior to saving data.");
  }
  const uploadId = await begin(context, id);
  try {
    const written = await context.files.write(uploadId, data, {
      maxBytes: context.maxImageBytes,
      onProgress: beating(context, uploadId),
    });
    const virtualSize = virtualSizeOf(disk_format, written.header, written.sizeBytes);
    await claim(context, id, uploadId);
    await context.files.publish(uploadId, id);
    await finish(context, id, uploadId, written, virtualSize);
  } catch (error) {
    await context.files.discard(uploadId);
    await giveUp(context, id, uploadId);
    throw error;
  }
}

/** Puts images back to `queued` whose upload died with its process. */
export async function reclaimStalledUploads(context: ImageContext): Promise<void> {
  const stalled = await context.store.read
    .tables<ImageTables>()
    .selectFrom("images")
    .select(["id", "upload_id"])
    .where("status", "=", "saving")
    .where("upload_seen_at", "<", context.clock.now() - STALLED_MS)
    .execute();
  for (const { id, upload_id } of stalled) {
    if (upload_id === null) continue;
    await giveUp(context, id, upload_id);
    await context.files.discard(upload_id);
  }
}

async function begin(context: ImageContext, id: string): Promise<string> {
  const uploadId = context.ids.uuid();
  const now = context.clock.now();
  const set = { upload_id: uploadId, upload_seen_at: now, updated_at: now };
  const begun = await context.store.tx((t) => transition(t, id, { from: "queued", to: "saving", set }));
  if (begun) return uploadId;
  const image = await findImage(context.store.read, id);
  throw image ? wrongStatus(id, image.row.status, "given data") : imageNotFound(id);
}

/** Shows life once more, so that nobody takes this upload for stalled while its file gets the image's name. */
async function claim(context: ImageContext, id: string, uploadId: string): Promise<void> {
  const set = { upload_seen_at: context.clock.now() };
  const ours = await context.store.tx((t) => transition(t, id, { from: "saving", to: "saving", uploadId, set }));
  if (!ours) throw await lost(context, id);
}

async function finish(
  context: ImageContext,
  id: string,
  uploadId: string,
  { sizeBytes, md5, sha256, sha512 }: WrittenData,
  virtualSize: number | null,
): Promise<void> {
  const set = {
    ...NO_UPLOAD,
    size_bytes: sizeBytes,
    virtual_size_bytes: virtualSize,
    md5,
    sha256,
    sha512,
    updated_at: context.clock.now(),
  };
  const done = await context.store.tx((t) => transition(t, id, { from: "saving", to: "active", uploadId, set }));
  if (done) return;
  const why = await lost(context, id);
  if (why.kind === "notFound") await context.files.remove(id);
  throw why;
}

async function lost(context: ImageContext, id: string): Promise<CloudError> {
  const image = await findImage(context.store.read, id);
  return image ? wrongStatus(id, image.row.status, "completed by this upload") : imageNotFound(id);
}

async function giveUp(context: ImageContext, id: string, uploadId: string): Promise<void> {
  const set = { ...NO_UPLOAD, updated_at: context.clock.now() };
  await context.store.tx((t) => transition(t, id, { from: "saving", to: "queued", uploadId, set }));
}

/** Tells the other processes, now and then, that this upload lives. */
function beating(context: ImageContext, uploadId: string): () => Promise<void> {
  let beatAt = context.clock.now();
  return async () => {
    const now = context.clock.now();
    if (now - beatAt < BEAT_MS) return;
    beatAt = now;
    await context.store.tx((t) =>
      t
        .tables<ImageTables>()
        .updateTable("images")
        .set({ upload_seen_at: now })
        .where("upload_id", "=", uploadId)
        .execute(),
    );
  };
}
