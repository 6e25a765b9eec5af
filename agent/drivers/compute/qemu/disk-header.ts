import { type FileHandle, open } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

export interface DiskInfo {
  virtualBytes: number;
  /** What the file itself takes. */
  allocatedBytes: number;
  /** The file that this one is a layer over, as it is written there. */
  backing: string | null;
  /** Whether the content is in yet another file. */
  hasDataFile: boolean;
}

const MAGIC = 0x514649fb;
const SECTOR_BYTES = 512;
/** Up to and with the features of version 3. */
const HEADER_BYTES = 80;
const [MAGIC_AT, VERSION_AT, BACKING_AT, BACKING_LENGTH_AT, SIZE_AT, INCOMPATIBLE_AT] = [0, 4, 8, 16, 24, 72];
const LONGEST_NAME_BYTES = 1023;
const DATA_FILE_BIT = 4n;

/**
 * What a disk's file says of itself, without starting a program for it and whether or not a guest has it open. The format is
 * always told, never guessed: a raw image can hold what looks like another format's header. Throws `compute.disk_damaged`.
 */
export async function diskInfo(path: string, format: "qcow2" | "raw" = "qcow2"): Promise<DiskInfo> {
  const file = await open(path, "r");
  try {
    const { size, blocks } = await file.stat();
    const allocatedBytes = blocks * SECTOR_BYTES;
    if (format === "qcow2") return { allocatedBytes, ...(await readHeader(file)) };
    const virtualBytes = Math.ceil(size / SECTOR_BYTES) * SECTOR_BYTES;
    return { virtualBytes, allocatedBytes, backing: null, hasDataFile: false };
  } finally {
    await file.close();
  }
}

async function readHeader(file: FileHandle): Promise<Omit<DiskInfo, "allocatedBytes">> {
  const header = await readAt(file, 0, HEADER_BYTES);
  const version = header.readUInt32BE(VERSION_AT);
  if (header.readUInt32BE(MAGIC_AT) !== MAGIC || (version !== 2 && version !== 3))
    throw damaged("it is no qcow2 image");
  const backingAt = Number(header.readBigUInt64BE(BACKING_AT));
  const length = header.readUInt32BE(BACKING_LENGTH_AT);
  if (length > LONGEST_NAME_BYTES) throw damaged("the name of its backing file is too long");
  return {
    virtualBytes: Number(header.readBigUInt64BE(SIZE_AT)),
    backing: backingAt === 0 ? null : (await readAt(file, backingAt, length)).toString("utf8"),
    hasDataFile: version === 3 && (header.readBigUInt64BE(INCOMPATIBLE_AT) & DATA_FILE_BIT) !== 0n,
  };
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  if (bytesRead === length) return buffer;
  throw damaged("it ends within its header");
}

function damaged(why: string): CloudError {
  return new CloudError("conflict", "compute.disk_damaged", "The disk's image is damaged.", { internal: why });
}
