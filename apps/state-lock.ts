import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { CloudError } from "../kernel/errors/cloud-error.ts";

const LOCK = "lock.sock";

/**
 * Makes sure that one process at a time uses a state folder. The lock is a listening socket: the kernel drops it with the
 * process, however that ends. Throws `server.state_in_use`.
 */
export async function lockState(stateDir: string): Promise<() => Promise<void>> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const { path, close } = reachable(stateDir);
  const server = (await listenOn(path)) ?? (await takeOver(path));
  if (!server) {
    close();
    throw new CloudError(
      "conflict",
      "server.state_in_use",
      `Another process uses ${stateDir}. Stop it, or choose another folder with --state.`,
    );
  }
  server.unref();
  return async () => {
    await new Promise<void>((done) => server.close(() => done()));
    close();
  };
}

/** Whether a server or a cloud on this machine works with the folder now. */
export async function isStateInUse(stateDir: string): Promise<boolean> {
  if (!existsSync(stateDir)) return false;
  const { path, close } = reachable(stateDir);
  return await isAnswered(path).finally(close);
}

/** The socket's path: by way of the open folder, since Linux allows 107 bytes. */
function reachable(stateDir: string): { path: string; close(): void } {
  const folder = openSync(stateDir, "r");
  return { path: join("/proc/self/fd", String(folder), LOCK), close: () => closeSync(folder) };
}

/** Undefined when the socket's file exists already. */
function listenOn(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => resolve(server));
  });
}

/** The file of a process that is gone is no lock. */
async function takeOver(path: string): Promise<Server | undefined> {
  if (await isAnswered(path)) return undefined;
  await rm(path, { force: true });
  return await listenOn(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
