import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, open, readlink, rename, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { DiskStorage } from "../../../protocol/compute.ts";

/** Linux allows 107 bytes for the path of a unix socket; `/<uuid>/serial.sock` takes 49 of them. */
const LONGEST_SOCKET_FOLDER = 107 - 49;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Paths of one guest on this host. Everything but the disk is this host's own. */
export interface GuestFiles {
  dir: string;
  record: string;
  pid: string;
  configDrive: string;
  serialLog: string;
  /** Sockets: the same folder by a path short enough. */
  qmp: string;
  agent: string;
  serial: string;
  /** Unix sockets of a migration on one machine. */
  migration: string;
  nbd: string;
  exportPid: string;
}

/** Where everything of one host lives. All paths come from ids that were checked here. */
export class HostFiles {
  readonly guestsDir: string;
  readonly #stateDir: string;
  readonly #sharedDir: string | null;
  readonly #socketsDir: string;

  private constructor(stateDir: string, sharedDir: string | null, socketsDir: string) {
    this.#stateDir = stateDir;
    this.#sharedDir = sharedDir;
    this.guestsDir = join(stateDir, "guests");
    this.#socketsDir = socketsDir;
  }

  static async prepare(stateDir: string, sharedDir: string | null): Promise<HostFiles> {
    const guests = join(stateDir, "guests");
    for (const dir of [stateDir, guests, join(stateDir, "instances")]) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      // It may have been made by somebody with other habits.
      await chmod(dir, 0o700);
    }
    if (sharedDir !== null) await mkdir(join(sharedDir, "instances"), { recursive: true, mode: 0o700 });
    return new HostFiles(stateDir, sharedDir, await socketFolder(guests));
  }

  guest(serverId: string): GuestFiles {
    const dir = join(this.guestsDir, checkedId(serverId));
    const sockets = join(this.#socketsDir, serverId);
    return {
      dir,
      record: join(dir, "guest.json"),
      pid: join(dir, "qemu.pid"),
      configDrive: join(dir, "config.img"),
      serialLog: join(dir, "serial.log"),
      qmp: join(sockets, "qmp.sock"),
      agent: join(sockets, "agent.sock"),
      serial: join(sockets, "serial.sock"),
      migration: join(sockets, "memory.sock"),
      nbd: join(sockets, "disk.sock"),
      exportPid: join(dir, "export.pid"),
    };
  }

  /** Folder of a guest's disk. Throws `compute.no_shared_storage` where the host mounts no instance store. */
  instanceDir(serverId: string, storage: DiskStorage): string {
    return join(storage === "local" ? this.#stateDir : this.sharedDir(), "instances", checkedId(serverId));
  }

  rootDisk(serverId: string, storage: DiskStorage): string {
    return join(this.instanceDir(serverId, storage), "root.qcow2");
  }

  get hasSharedDir(): boolean {
    return this.#sharedDir !== null;
  }

  sharedDir(): string {
    if (this.#sharedDir !== null) return this.#sharedDir;
    throw new CloudError("conflict", "compute.no_shared_storage", "The host has no shared instance storage.");
  }

  inState(name: string): string {
    return join(this.#stateDir, name);
  }
}

export const isId = (text: string): boolean => UUID.test(text);

export function checkedId(id: string): string {
  if (isId(id)) return id;
  throw new CloudError("invalid", "compute.invalid_id", "Not a valid id.");
}

/** Puts the text in place in one step and on disk before it returns. Only the owner may read it. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** A link of ours in the temporary folder stands in for a folder whose path is too long for sockets. */
async function socketFolder(guests: string): Promise<string> {
  if (Buffer.byteLength(guests) <= LONGEST_SOCKET_FOLDER) return guests;
  const link = join(tmpdir(), `pileus-${createHash("sha256").update(guests).digest("hex").slice(0, 12)}`);
  await symlink(guests, link).catch(async () => {
    const owner = (await lstat(link)).uid;
    if (owner !== process.getuid?.() || (await readlink(link)) !== guests) {
      throw new CloudError("internal", "compute.state_path", "The state folder's path is too long.", {
        internal: `${link} is in the way`,
      });
    }
  });
  return link;
}
