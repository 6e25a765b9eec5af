import assert from "node:assert/strict";
import { test } from "node:test";
import { cpioArchive } from "./cpio-archive.ts";
import { dependenciesOf } from "./kernel-modules.ts";

test("an archive holds its entries in order, aligned to four bytes, and ends with the trailer", () => {
  const archive = cpioArchive([
    { path: "bin", mode: 0o040755 },
    { path: "bin/x", mode: 0o100755, data: Buffer.from("hello") },
  ]);
  const seen: { name: string; mode: number; data: string }[] = [];
  for (let at = 0; at < archive.length; ) {
    assert.equal(at % 4, 0);
    assert.equal(archive.toString("latin1", at, at + 6), "070701");
    const field = (index: number) =>
      Number.parseInt(archive.toString("latin1", at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameEnd = at + 110 + field(11);
    const dataStart = Math.ceil(nameEnd / 4) * 4;
    const dataEnd = dataStart + field(6);
    const name = archive.toString("utf8", at + 110, nameEnd - 1);
    seen.push({ name, mode: field(1), data: archive.toString("utf8", dataStart, dataEnd) });
    at = Math.ceil(dataEnd / 4) * 4;
  }
  assert.deepEqual(seen, [
    { name: "bin", mode: 0o040755, data: "" },
    { name: "bin/x", mode: 0o100755, data: "hello" },
    { name: "TRAILER!!!", mode: 0, data: "" },
  ]);
});

test("a module's dependencies are read from its information section", () => {
  const module = Buffer.from("ELF\0license=GPL\0depends=virtio,virtio-ring\0name=x\0");
  assert.deepEqual(dependenciesOf(module), ["virtio", "virtio_ring"]);
  assert.deepEqual(dependenciesOf(Buffer.from("ELF\0depends=\0")), []);
});
