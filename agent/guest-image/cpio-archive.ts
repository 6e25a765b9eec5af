/** One entry of an archive. `mode` includes the file type bits (0o040755 is a folder, 0o100755 a program). */
export interface CpioEntry {
  path: string;
  mode: number;
  data?: Uint8Array;
}

/** Builds a "newc" cpio archive, the form in which the kernel takes an initial RAM disk. Same entries, same bytes. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const all = [...entries, { path: "TRAILER!!!", mode: 0 }];
  for (const [index, entry] of all.entries()) {
    const data = Buffer.from(("data" in entry && entry.data) || []);
    const name = Buffer.from(`${entry.path}\0`);
    const inode = index + 1;
    const fields = [inode, entry.mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`);
    parts.push(header, name, padding(header.length + name.length), data, padding(data.length));
  }
  return Buffer.concat(parts);
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
