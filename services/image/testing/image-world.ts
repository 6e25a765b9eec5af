import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { TestStore } from "../../../kernel/store/testing/stores.ts";
import { type NewImage, queuedImage } from "../new-image.ts";
import type { ImageContext } from "../settings.ts";
import { ImageFiles } from "../store/image-files.ts";
import { type FullImage, insertImage } from "../store/images.ts";
import { imageMigrations } from "../store/tables.ts";

export interface ImageWorld {
  readonly context: ImageContext;
  readonly clock: ManualClock;
  readonly dir: string;
  given(image: Partial<NewImage>): Promise<FullImage>;
  dispose(): Promise<void>;
}

/** A database and a data folder of their own, with a clock that only tests move. */
export async function imageWorld(
  open: (migrations: readonly Migration[]) => Promise<TestStore>,
  more: Partial<ImageContext> = {},
): Promise<ImageWorld> {
  const dir = await mkdtemp(join(tmpdir(), "pileus-images-"));
  const { store, dispose } = await open(imageMigrations);
  const clock = new ManualClock();
  const context: ImageContext = {
    store,
    clock,
    ids: systemIds,
    files: new ImageFiles(dir),
    maxImageBytes: 1_000_000,
    ...more,
  };
  return {
    context,
    clock,
    dir,
    async given(image) {
      const full = queuedImage(context, { owner: "p1", diskFormat: "raw", containerFormat: "bare", ...image });
      await store.tx((t) => insertImage(t, full));
      return full;
    },
    async dispose() {
      await dispose();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A qcow2 header (version 3) of a disk of `size` bytes. */
export function qcow2Header(size: number, more: { backingFileAt?: number; incompatible?: bigint } = {}): Buffer {
  const header = Buffer.alloc(112);
  header.writeUInt32BE(0x51_46_49_fb, 0);
  header.writeUInt32BE(3, 4);
  header.writeBigUInt64BE(BigInt(more.backingFileAt ?? 0), 8);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(size), 24);
  header.writeBigUInt64BE(more.incompatible ?? 0n, 72);
  header.writeUInt32BE(104, 100);
  return header;
}
