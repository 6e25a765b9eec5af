import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { tryCommand } from "../../../process/run-command.ts";
import { GIB, giveBackHoles } from "./disk-files.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";

const skip = (await whyNoStorage()) ?? false;

test("blocks that were reserved for nothing but zeros are given back; what is written stays", { skip }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  try {
    const path = join(dir, "disk.raw");
    const file = await open(path, "w+");
    const data = randomBytes(1024 ** 2);
    const [first, last] = [100 * 1024 ** 2, 3 * GIB - data.length];
    await file.truncate(3 * GIB);
    const reserved = await tryCommand("fallocate", [
      "--zero-range",
      "--offset",
      "0",
      "--length",
      String(3 * GIB),
      path,
    ]);
    if (reserved.code !== 0) t.diagnostic("this file system reserves nothing for zeros");
    for (const offset of [first, last]) await file.write(data, 0, data.length, offset);
    await file.sync();
    await giveBackHoles(path, AbortSignal.timeout(30_000));
    const found = Buffer.alloc(data.length);
    for (const offset of [first, last]) {
      await file.read(found, 0, found.length, offset);
      assert.ok(found.equals(data), `data at ${offset}`);
    }
    await file.close();
    const { size, blocks } = await stat(path);
    assert.equal(size, 3 * GIB);
    assert.ok(blocks * 512 < 8 * data.length, `${blocks * 512} bytes are taken`);
  } finally {
    await rm(dir, { recursive: true });
  }
});
