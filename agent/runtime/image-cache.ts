import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

export interface WantedImage {
  imageId: string;
  sizeBytes: number;
  /** Lower-case hex. */
  sha256: string;
}

export interface ImageCacheOptions {
  /** Created when missing. Belongs to this cache alone. */
  dir: string;
  fetchImage(imageId: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

interface Fetching {
  done: Promise<string>;
  abort: AbortController;
  waiting: number;
}

const IMAGE_ID = /^[0-9a-f-]{1,64}$/;
const PARTIAL = ".partial";

/**
 * Images on this host's disk, one file per id. A file gets its name only when it is complete, checked and synced, so a
 * name that exists is an image; it is checked once more per process, because disks forget.
 */
export class ImageCache {
  readonly #options: ImageCacheOptions;
  readonly #ready = new Map<string, string>();
  readonly #fetching = new Map<string, Fetching>();
  #prepared: Promise<void> | undefined;
  #partials = 0;

  constructor(options: ImageCacheOptions) {
    this.#options = options;
  }

  /**
   * Path of the image's file. Concurrent callers share one download, which ends when the last of them has given up.
   * Throws `agent.image_corrupt` when the server's bytes are not the announced ones.
   */
  async path(wanted: WantedImage, signal: AbortSignal): Promise<string> {
    if (!IMAGE_ID.test(wanted.imageId)) throw new CloudError("invalid", "agent.invalid_input", "Not an image id.");
    signal.throwIfAborted();
    const ready = this.#ready.get(wanted.imageId);
    if (ready === wanted.sha256) return this.#file(wanted.imageId);
    return await this.#join(wanted, signal);
  }

  async #join(wanted: WantedImage, signal: AbortSignal): Promise<string> {
    const fetching = this.#fetching.get(wanted.imageId) ?? this.#begin(wanted);
    fetching.waiting += 1;
    let onAbort = () => {};
    const givenUp = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      return await Promise.race([fetching.done, givenUp]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      fetching.waiting -= 1;
      if (fetching.waiting === 0) {
        fetching.abort.abort(signal.reason);
        if (this.#fetching.get(wanted.imageId) === fetching) this.#fetching.delete(wanted.imageId);
      }
    }
  }

  #begin(wanted: WantedImage): Fetching {
    const abort = new AbortController();
    const fetching = { done: this.#provide(wanted, abort.signal), abort, waiting: 0 };
    fetching.done.catch(() => {});
    this.#fetching.set(wanted.imageId, fetching);
    return fetching;
  }

  async #provide(wanted: WantedImage, signal: AbortSignal): Promise<string> {
    this.#prepared ??= this.#prepare();
    await this.#prepared;
    const file = this.#file(wanted.imageId);
    if (!(await holds(file, wanted))) await this.#download(wanted, file, signal);
    this.#ready.set(wanted.imageId, wanted.sha256);
    return file;
  }

  async #download(wanted: WantedImage, file: string, signal: AbortSignal): Promise<void> {
    const partial = join(this.#options.dir, `${wanted.imageId}.${this.#nextPartial()}${PARTIAL}`);
    try {
      const hash = createHash("sha256");
      const target = await open(partial, "wx", 0o600);
      try {
        for await (const chunk of await this.#options.fetchImage(wanted.imageId, signal)) {
          signal.throwIfAborted();
          hash.update(chunk);
          await target.writeFile(chunk);
        }
        await target.sync();
      } finally {
        await target.close();
      }
      if (hash.digest("hex") !== wanted.sha256) {
        throw new CloudError("unavailable", "agent.image_corrupt", `Image ${wanted.imageId} arrived damaged.`);
      }
      await rename(partial, file);
      await syncFolder(this.#options.dir);
    } finally {
      await rm(partial, { force: true });
    }
  }

  #nextPartial(): number {
    this.#partials += 1;
    return this.#partials;
  }

  /** What a killed process left half-written is of no use to anybody. */
  async #prepare(): Promise<void> {
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#options.dir)) {
      if (name.endsWith(PARTIAL)) await rm(join(this.#options.dir, name), { force: true });
    }
  }

  #file(imageId: string): string {
    return join(this.#options.dir, imageId);
  }
}

async function holds(file: string, wanted: WantedImage): Promise<boolean> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found || found.size !== wanted.sizeBytes) return false;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex") === wanted.sha256;
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
