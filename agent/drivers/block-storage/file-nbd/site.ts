import { createHash } from "node:crypto";
import { mkdir, open, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { type ArrayIdentity, expectedIdentity } from "./array-identity.ts";
import { exists, isPlainFile } from "./disk-files.ts";
import { readJson, syncPath, writeJson } from "./durable-json.ts";
import type { FileNbdOptions } from "./options.ts";
import type { BackendRecord, CopyRecord, SnapshotRecord } from "./records.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const REFERENCE = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,200}$/;

/** Nothing reaches a path, a socket's name or a command before it has passed here. */
export function checkedId(id: string): string {
  if (isId(id)) return id;
  throw new CloudError("invalid", "storage.invalid_id", "Not a valid id.");
}

/** Whether it can be a volume's or a snapshot's. */
export function isId(name: string): boolean {
  return UUID.test(name);
}

/** What may be removed while its array is away. */
export interface Removable {
  kind: "volume" | "snapshot";
  id: string;
}

/**
 * One array: a folder with at most one copy of each volume and snapshot. The backend's own is `default`; each replication target
 * is one more.
 */
export class Site {
  readonly id: string;
  readonly directory: string;
  /** Tells the arrays apart in names of sockets. */
  readonly tag: string;
  #expected: string | undefined;

  constructor(id: string, directory: string) {
    this.id = id;
    this.directory = directory;
    this.tag = createHash("sha256").update(directory).digest("hex").slice(0, 6);
  }

  /**
   * Makes the array's folders where there never was one, and finds out which one has to be there. An array that was seen before is
   * not made anew: its disk is away, and what was made in its place would be taken for an empty array.
   */
  async prepare(options: Pick<FileNbdOptions, "stateDir" | "ids" | "log">): Promise<void> {
    const memory = join(options.stateDir, `${this.tag}.json`);
    this.#expected = await expectedIdentity(this.#identityFile, memory, options.ids);
    if (await this.isReachable()) {
      for (const name of ["volumes", "snapshots", "import"])
        await mkdir(join(this.directory, name), { recursive: true, mode: 0o700 });
    } else {
      const { id: site, directory } = this;
      const cure = `mount its disk; if another one is to take its place, remove ${memory} and start the agent anew`;
      options.log.error({ site, directory, cure }, "a storage array that this host knows is not there");
    }
  }

  /** Throws `storage.array_unreachable` when the array's disk is not there, or the folder is not that array. */
  async requireReachable(): Promise<void> {
    const found = await readJson<ArrayIdentity>(this.#identityFile).catch((error: Error) => error);
    if (found && "identity" in found && found.identity === this.#expected) return;
    const why = found instanceof Error ? found.message : found ? "another array is there" : "it is not there";
    throw new CloudError("unavailable", "storage.array_unreachable", "A storage array cannot be reached.", {
      internal: `${this.id}: ${why}`,
      ...(found instanceof Error ? { cause: found } : {}),
    });
  }

  async isReachable(): Promise<boolean> {
    return this.requireReachable().then(
      () => true,
      () => false,
    );
  }

  get #identityFile(): string {
    return join(this.directory, "array.json");
  }

  volumeDir(volumeId: string): string {
    return join(this.directory, "volumes", checkedId(volumeId));
  }

  disk(volumeId: string): string {
    return join(this.volumeDir(volumeId), "disk.raw");
  }

  snapshotDir(snapshotId: string): string {
    return join(this.directory, "snapshots", checkedId(snapshotId));
  }

  snapshotDisk(snapshotId: string): string {
    return join(this.snapshotDir(snapshotId), "disk.raw");
  }

  /** Undefined when the array was told of nothing yet, or is away. */
  async backend(): Promise<BackendRecord | undefined> {
    return (await this.isReachable()) ? readJson(this.#backendFile) : undefined;
  }

  async writeBackend(record: BackendRecord): Promise<void> {
    await this.requireReachable();
    await writeJson(this.#backendFile, record);
  }

  get #backendFile(): string {
    return join(this.directory, "backend.json");
  }

  /** What the array's disk has left. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory);
    return bavail * bsize;
  }

  /** Data that is nobody's: what `reference` names. */
  importFile(reference: string): string {
    if (REFERENCE.test(reference)) return join(this.directory, "import", reference);
    throw new CloudError("invalid", "storage.invalid_id", "Not a valid reference.");
  }

  async references(): Promise<string[]> {
    const names = (await namesIn(join(this.directory, "import"))).filter((name) => REFERENCE.test(name));
    const plain = await Promise.all(names.map((name) => isPlainFile(this.importFile(name))));
    return names.filter((_, i) => plain[i]);
  }

  copy(volumeId: string): Promise<CopyRecord | undefined> {
    return readJson(join(this.volumeDir(volumeId), "record.json"));
  }

  async writeCopy(record: CopyRecord): Promise<void> {
    await ensureFolder(this.volumeDir(record.volumeId));
    await writeJson(join(this.volumeDir(record.volumeId), "record.json"), record);
  }

  snapshot(snapshotId: string): Promise<SnapshotRecord | undefined> {
    return readJson(join(this.snapshotDir(snapshotId), "record.json"));
  }

  async writeSnapshot(record: SnapshotRecord): Promise<void> {
    await ensureFolder(this.snapshotDir(record.snapshotId));
    await writeJson(join(this.snapshotDir(record.snapshotId), "record.json"), record);
  }

  async copies(): Promise<CopyRecord[]> {
    const ids = await namesIn(join(this.directory, "volumes"));
    return (await Promise.all(ids.filter(isId).map((id) => this.copy(id)))).flatMap((r) => r ?? []);
  }

  async snapshots(): Promise<SnapshotRecord[]> {
    const ids = await namesIn(join(this.directory, "snapshots"));
    const found = await Promise.all(ids.filter(isId).map((id) => this.snapshot(id)));
    return found.flatMap((record) => record ?? []);
  }

  /** Notes that the backend's own array, which is away, may have something that was removed. It survives a loss of power. */
  async rememberRemoved(what: Removable): Promise<void> {
    await ensureFolder(this.#removed);
    await (await open(this.#noteOf(what), "a", 0o600)).close();
    await syncPath(this.#removed);
  }

  async forgetRemoved(what: Removable): Promise<void> {
    await rm(this.#noteOf(what), { force: true });
  }

  async remembersRemoved(what: Removable): Promise<boolean> {
    return await exists(this.#noteOf(what));
  }

  async removedElsewhere(): Promise<Removable[]> {
    return (await namesIn(this.#removed)).flatMap((name) => {
      const [kind, id = ""] = name.split(".");
      return (kind === "volume" || kind === "snapshot") && isId(id) ? [{ kind, id }] : [];
    });
  }

  get #removed(): string {
    return join(this.directory, "removed");
  }

  #noteOf({ kind, id }: Removable): string {
    return join(this.#removed, `${kind}.${checkedId(id)}`);
  }

  async removeVolume(volumeId: string): Promise<void> {
    await rm(this.volumeDir(volumeId), { recursive: true, force: true });
  }

  async removeSnapshot(snapshotId: string): Promise<void> {
    await rm(this.snapshotDir(snapshotId), { recursive: true, force: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
}

/** Not its parents: a folder above that is missing means that the array's disk is. */
async function ensureFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}
