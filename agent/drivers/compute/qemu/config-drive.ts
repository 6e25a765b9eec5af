import { mkdir, mkdtemp, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runCommand } from "../../../process/run-command.ts";
import type { GuestSpec } from "../../../protocol/compute.ts";
import { configDriveFiles } from "./config-drive-content.ts";

/** Fixed, so that both ends of a migration have a drive of one size. User data is at most 64 KiB. */
const SIZE_BYTES = 4 * 1024 * 1024;

/** Makes the guest's config drive (vfat, label config-2) and puts it in place in one step. Same spec, same bytes. */
export async function writeConfigDrive(spec: GuestSpec, path: string, signal: AbortSignal): Promise<void> {
  const work = await mkdtemp(join(dirname(path), "config-"));
  try {
    const tree = join(work, "tree");
    for (const file of configDriveFiles(spec)) {
      await mkdir(dirname(join(tree, file.path)), { recursive: true });
      await writeFile(join(tree, file.path), file.content);
    }
    const image = join(work, "image");
    await writeFile(image, "", { mode: 0o600 });
    await truncate(image, SIZE_BYTES);
    const fixed = ["--invariant", "-i", "70696c65"];
    await runCommand("mkfs.vfat", [...fixed, "-n", "config-2", image], { signal });
    const env = { SOURCE_DATE_EPOCH: "1", MTOOLS_SKIP_CHECK: "1" };
    const entries = (await readdir(tree)).sort().map((name) => join(tree, name));
    await runCommand("mcopy", ["-s", "-i", image, ...entries, "::/"], { env, signal });
    await rename(image, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
