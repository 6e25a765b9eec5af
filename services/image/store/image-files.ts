import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { HEADER_BYTES } from "../domain/disk-header.ts";
import { imageTooLarge } from "../domain/faults.ts";

/** What was learnt of data while it was written. */
export interface WrittenData {
  readonly sizeBytes: number;
  readonly md5: string;
  readonly sha256: string;
  readonly sha512: string;
  /** The first bytes, at most `HEADER_BYTES`. */
  readonly header: Buffer;
}

export interface WriteOptions {
  readonly maxBytes: number;
  /** Called after each piece that was written. */
  onProgress?(): Promise<void>;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PARTIAL = ".partial";

/** The data of images: one file per image in one folder, which all server processes of a cloud must share. */
export class ImageFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Writes and syncs the data under the upload's name. Nothing is left when it throws. */
  async write(uploadId: string, data: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WrittenData> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const path = this.#partial(uploadId);
    try {
      return await writeChecked(path, data, options);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** The upload's data becomes the image's, in one step. */
  async publish(uploadId: string, imageId: string): Promise<void> {
    await rename(this.#partial(uploadId), this.#file(imageId));
    await syncFolder(this.#dir);
  }

  async discard(uploadId: string): Promise<void> {
    await rm(this.#partial(uploadId), { force: true });
  }

  async remove(imageId: string): Promise<void> {
    await rm(this.#file(imageId), { force: true });
  }

  /** All of the data, or the bytes from `start` to `end` (both included). */
  read(imageId: string, range?: { start: number; end: number }): Readable {
    return createReadStream(this.#file(imageId), range);
  }

  /** Ids of images that have data, and of uploads that have begun, with the time of their last write. */
  async list(): Promise<{ kind: "image" | "upload"; id: string; modifiedAt: number }[]> {
    const names = await readdir(this.#dir).catch(noFolderIsEmpty);
    const found = names.flatMap((name) => {
      const kind: "image" | "upload" = name.endsWith(PARTIAL) ? "upload" : "image";
      const id = kind === "upload" ? name.slice(0, -PARTIAL.length) : name;
      return UUID.test(id) ? [{ kind, id, name }] : [];
    });
    const dated = found.map(async ({ kind, id, name }) => {
      const facts = await stat(join(this.#dir, name)).catch(() => undefined);
      return facts ? [{ kind, id, modifiedAt: facts.mtimeMs }] : [];
    });
    return (await Promise.all(dated)).flat();
  }

  #file(imageId: string): string {
    return join(this.#dir, checkedId(imageId));
  }

  #partial(uploadId: string): string {
    return join(this.#dir, checkedId(uploadId) + PARTIAL);
  }
}

/** Nothing but a canonical UUID ever becomes part of a path. */
function checkedId(id: string): string {
  if (UUID.test(id)) return id;
  throw new CloudError("invalid", "image.invalid_id", "The image id is not a UUID.");
}

function noFolderIsEmpty(error: NodeJS.ErrnoException): string[] {
  if (error.code === "ENOENT") return [];
  throw error;
}

async function writeChecked(
  path: string,
  data: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WrittenData> {
  const hashes = { md5: createHash("md5"), sha256: createHash("sha256"), sha512: createHash("sha512") };
  const header = Buffer.alloc(HEADER_BYTES);
  let sizeBytes = 0;
  const file = await open(path, "wx", 0o600);
  try {
    for await (const piece of data) {
      if (sizeBytes < HEADER_BYTES) header.set(piece.subarray(0, HEADER_BYTES - sizeBytes), sizeBytes);
      sizeBytes += piece.length;
      if (sizeBytes > options.maxBytes) throw imageTooLarge(options.maxBytes);
      for (const hash of Object.values(hashes)) hash.update(piece);
      await file.writeFile(piece);
      await options.onProgress?.();
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return {
    sizeBytes,
    md5: hashes.md5.digest("hex"),
    sha256: hashes.sha256.digest("hex"),
    sha512: hashes.sha512.digest("hex"),
    header: header.subarray(0, Math.min(sizeBytes, HEADER_BYTES)),
  };
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
