import type { Stats } from "node:fs";
import { access, lstat, open, readdir, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../../../kernel/ids/ids.ts";
import { runCommand } from "../../../process/run-command.ts";
import { syncPath } from "./durable-json.ts";

export const GIB = 1024 ** 3;
const PARTIAL = ".partial";
const LONGEST_COPY_MS = 24 * 3_600_000;

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Not what leads to one: who may put names into a folder must not choose files of others by them. */
export async function isPlainFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Bytes; 0 when there is no such file. */
export async function sizeOf(path: string): Promise<number> {
  return (await statIfThere(path))?.size ?? 0;
}

/** Bytes that the file has taken of its disk. */
export async function writtenBytes(path: string): Promise<number> {
  return ((await statIfThere(path))?.blocks ?? 0) * 512;
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
}

/**
 * Makes the file `path` by `fill`, which gets the path of an empty file to write into. The name exists only once the content is
 * complete and on the disk. What an earlier try left is removed; a child of it that lives on writes into nothing.
 */
export async function createWhole(
  path: string,
  ids: IdSource,
  fill: (partial: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (name.endsWith(PARTIAL)) await rm(join(folder, name), { force: true });
  }
  const partial = join(folder, `${ids.hex()}${PARTIAL}`);
  await (await open(partial, "wx", 0o600)).close();
  try {
    await fill(partial);
    await syncPath(partial);
    await rename(partial, path);
    await syncPath(folder);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Copies what the file holds; holes stay holes. Shares the blocks where the file system can. */
export async function copySparse(from: string, to: string, signal: AbortSignal): Promise<void> {
  await runCommand("cp", ["--reflink=auto", "--sparse=always", "--", from, to], { signal, timeoutMs: LONGEST_COPY_MS });
}

/** How much `qemu-io` discards at a time. */
const DISCARD_BYTES = GIB;

/**
 * Gives back the blocks that were reserved for nothing but zeros: QEMU's backup reserves them for holes. Goes by the map of the
 * file, so that it takes as long as there are extents, however large the file is.
 */
export async function giveBackHoles(path: string, signal: AbortSignal): Promise<void> {
  const text = await runCommand("qemu-img", ["map", "--output", "json", "-f", "raw", path], { signal });
  const extents = JSON.parse(text) as { start: number; length: number; data: boolean }[];
  const discards: string[] = [];
  for (const { start, length, data } of extents) {
    if (data) continue;
    for (let at = start; at < start + length; at += DISCARD_BYTES) {
      discards.push(`discard -q ${at} ${Math.min(DISCARD_BYTES, start + length - at)}\n`);
    }
  }
  if (discards.length === 0) return;
  const options = { signal, input: discards.join(""), timeoutMs: LONGEST_COPY_MS };
  await runCommand("qemu-io", ["-f", "raw", "-d", "unmap", path], options);
}

/** Only ever larger. */
export async function growTo(path: string, bytes: number): Promise<void> {
  if ((await sizeOf(path)) < bytes) await truncate(path, bytes);
}

export interface ImageFile {
  path: string;
  format: "raw" | "qcow2";
}

/** Throws `storage.image_unsafe` for an image that names other files, `storage.size_too_small` for one that does not fit. */
export async function checkImage(image: ImageFile, bytes: number): Promise<void> {
  const text = await runCommand("qemu-img", ["info", "--output", "json", "-f", image.format, image.path]);
  const info = JSON.parse(text) as {
    "virtual-size": number;
    "backing-filename"?: string;
    "format-specific"?: { data?: { "data-file"?: string } };
  };
  if (info["backing-filename"] !== undefined || info["format-specific"]?.data?.["data-file"] !== undefined) {
    throw new CloudError("invalid", "storage.image_unsafe", "The image refers to another file.");
  }
  if (info["virtual-size"] > bytes) throw tooSmall("The volume is too small for the image.");
}

export async function writeImage(
  image: ImageFile,
  to: string,
  signal: AbortSignal,
  progress: (percent: number) => void,
): Promise<void> {
  const onOutput = (text: string) => {
    const percent = /\(([\d.]+)\/100%\)/g.exec(text)?.[1];
    if (percent !== undefined) progress(Number(percent));
  };
  const args = ["convert", "-p", "-f", image.format, "-O", "raw", image.path, to];
  await runCommand("qemu-img", args, { signal, onOutput, timeoutMs: LONGEST_COPY_MS });
}

/** Throws `storage.copy_failed` unless both hold the same. The file may be open for writing elsewhere, if nobody writes. */
export async function requireEqual(file: string, nbdUri: string, signal: AbortSignal): Promise<void> {
  const args = ["compare", "-q", "-U", "-f", "raw", "-F", "raw", file, nbdUri];
  await runCommand("qemu-img", args, { signal, timeoutMs: LONGEST_COPY_MS }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new CloudError("conflict", "storage.copy_failed", "The copy differs from the volume.", { cause });
  });
}

export function tooSmall(text: string): CloudError {
  return new CloudError("invalid", "storage.size_too_small", text);
}
