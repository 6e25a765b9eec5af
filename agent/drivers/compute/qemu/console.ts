import { open, stat, truncate } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { Guest } from "./guest.ts";

/** More of a console than anybody reads; the guest appends, so an emptied file simply grows again. */
const LONGEST_LOG_BYTES = 4 * 1024 * 1024;
const LONGEST_ANSWER_BYTES = 1024 * 1024;

/** The last `lines` lines of the serial console, all that is kept when null. */
export async function consoleLog(guest: Guest, lines: number | null): Promise<string> {
  const text = await tail(guest.files.serialLog, LONGEST_ANSWER_BYTES);
  if (lines === null) return text;
  const all = text.split("\n");
  const complete = all.at(-1) === "" ? all.slice(0, -1) : all;
  return lines <= 0 ? "" : `${complete.slice(-lines).join("\n")}\n`;
}

/** Connects to the live console. QEMU serves one client at a time. Throws `compute.guest_not_running`. */
export async function openConsole(guest: Guest): Promise<Socket> {
  if (!(await guest.isAlive())) {
    throw new CloudError("conflict", "compute.guest_not_running", "The guest is not running.");
  }
  return new Promise((resolve, reject) => {
    const socket = connect(guest.files.serial);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (cause) => {
      reject(new CloudError("unavailable", "compute.console_unreachable", "The console does not answer.", { cause }));
    });
  });
}

/** Empties a log that has grown too long. */
export async function limitLog(guest: Guest): Promise<void> {
  const info = await stat(guest.files.serialLog).catch(() => undefined);
  if (info && info.size > LONGEST_LOG_BYTES) await truncate(guest.files.serialLog, 0);
}

async function tail(path: string, bytes: number): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (!file) return "";
  try {
    const { size } = await file.stat();
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, length, size - length);
    return buffer.toString("utf8", 0, bytesRead).replaceAll("\r\n", "\n");
  } finally {
    await file.close();
  }
}
