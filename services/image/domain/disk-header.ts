import { CloudError } from "../../../kernel/errors/cloud-error.ts";

/** As many bytes of an image as are needed to judge it. */
export const HEADER_BYTES = 104;

const MAGIC = 0x51_46_49_fb;
/** Bit of the incompatible features: guest data lies in another file. */
const EXTERNAL_DATA_FILE = 4n;

/**
 * The size of the disk that a guest sees, in bytes; null for kernels and RAM disks. Throws `image.format_mismatch` when the data is
 * not of that format, and `image.refers_to_file` for qcow2 that would make a host read another of its files.
 */
export function virtualSizeOf(diskFormat: string, header: Buffer, sizeBytes: number): number | null {
  switch (diskFormat) {
    case "raw":
      return sizeBytes;
    case "qcow2":
      return qcow2Size(header);
    default:
      return null;
  }
}

function qcow2Size(header: Buffer): number {
  if (header.length < 72 || header.readUInt32BE(0) !== MAGIC) throw mismatch();
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw mismatch();
  if (version === 3 && header.length < HEADER_BYTES) throw mismatch();
  const incompatible = version === 3 ? header.readBigUInt64BE(72) : 0n;
  if (header.readBigUInt64BE(8) !== 0n || (incompatible & EXTERNAL_DATA_FILE) !== 0n) throw refersToFile();
  const size = header.readBigUInt64BE(24);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw mismatch();
  return Number(size);
}

function mismatch(): CloudError {
  return new CloudError("invalid", "image.format_mismatch", "The data is not a qcow2 image.");
}

function refersToFile(): CloudError {
  return new CloudError(
    "invalid",
    "image.refers_to_file",
    "The qcow2 image refers to another file (a backing file or an external data file); that is not allowed.",
  );
}
