import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { diskInfo } from "./disk-header.ts";

let dir = "";
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "header-"));
});
after(() => rm(dir, { recursive: true, force: true }));

interface Fields {
  magic?: string;
  version?: number;
  bytes?: bigint;
  backing?: string;
  backingLength?: number;
  incompatible?: bigint;
}

/** The start of a qcow2 image, as its specification lays it out. */
function header({ magic = "QFI\xfb", version = 3, bytes = 2n ** 30n, ...more }: Fields): Buffer {
  const buffer = Buffer.alloc(512);
  buffer.write(magic, 0, "latin1");
  buffer.writeUInt32BE(version, 4);
  buffer.writeBigUInt64BE(more.backing === undefined ? 0n : 120n, 8);
  buffer.writeUInt32BE(more.backingLength ?? more.backing?.length ?? 0, 16);
  buffer.writeUInt32BE(16, 20);
  buffer.writeBigUInt64BE(bytes, 24);
  buffer.writeBigUInt64BE(more.incompatible ?? 0n, 72);
  buffer.write(more.backing ?? "", 120);
  return buffer;
}

async function infoOf(content: Buffer, format?: "qcow2" | "raw") {
  const path = join(dir, "disk");
  await writeFile(path, content);
  const { allocatedBytes, ...info } = await diskInfo(path, format);
  assert.ok(allocatedBytes >= 0);
  return info;
}

test("a qcow2 image says how large its disk is and which files it refers to", async () => {
  const plain = { virtualBytes: 2 ** 30, backing: null, hasDataFile: false };
  assert.deepEqual(await infoOf(header({})), plain);
  assert.deepEqual(await infoOf(header({ backing: "/images/a" })), { ...plain, backing: "/images/a" });
  assert.deepEqual(await infoOf(header({ backing: "" })), { ...plain, backing: "" });
  assert.deepEqual(await infoOf(header({ incompatible: 4n })), { ...plain, hasDataFile: true });
  assert.deepEqual(await infoOf(header({ incompatible: 3n, bytes: 2n ** 44n })), { ...plain, virtualBytes: 2 ** 44 });
  assert.deepEqual(await infoOf(header({ version: 2, incompatible: 4n })), plain, "version 2 has other bytes there");
});

test("a raw image is as large as its file, whatever is in it", async () => {
  const raw = { virtualBytes: 512, backing: null, hasDataFile: false };
  assert.deepEqual(await infoOf(header({ backing: "/etc/shadow" }), "raw"), raw);
  assert.deepEqual(await infoOf(Buffer.alloc(1), "raw"), raw);
});

test("what is no qcow2 image is refused", async () => {
  const no = [header({ magic: "QFI " }), header({ version: 4 }), header({ backing: "a", backingLength: 1024 })];
  for (const content of [...no, header({}).subarray(0, 79), Buffer.alloc(0)]) {
    await assert.rejects(infoOf(content), { kind: "conflict", code: "compute.disk_damaged" });
  }
});
