import { link, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../../kernel/ids/ids.ts";

const LOOK_AGAIN_MS = 10;
const SQLITE_BUSY = 5;

/**
 * Locks that processes of several hosts share through a folder. The kernel holds them, by way of SQLite, so that they end with
 * their holder: whoever comes next finds the records that the dead one has left, and goes on from there.
 */
export class FileLocks {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #ids: IdSource;

  constructor(folder: string, options: { clock: Clock; ids: IdSource }) {
    this.#folder = folder;
    this.#clock = options.clock;
    this.#ids = options.ids;
  }

  /** Runs `work` as the only one who holds any of these names. Always the same order: nobody waits in a circle. */
  async holding<T>(names: readonly string[], signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const held: (() => void)[] = [];
    try {
      for (const name of [...new Set(names)].toSorted()) held.push(await this.#acquire(name, signal));
      return await work();
    } finally {
      for (const release of held) release();
    }
  }

  /** For a name that nobody will need again; its holder calls it. */
  async forget(name: string): Promise<void> {
    await rm(join(this.#folder, `${name}.lock`), { force: true });
  }

  async #acquire(name: string, signal: AbortSignal): Promise<() => void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, `${name}.lock`);
    for (;;) {
      signal.throwIfAborted();
      const before = (await inode(path)) ?? (await this.#create(path));
      const release = tryLock(path);
      // The file may have been removed with its volume, and made anew, since it was opened.
      if (release && (await inode(path)) === before) return release;
      release?.();
      await sleep(this.#clock, LOOK_AGAIN_MS, signal);
    }
  }

  /** Under its name only once it is closed: whoever closes a file loses all of his process's locks on it. */
  async #create(path: string): Promise<number | undefined> {
    const unnamed = `${path}.${this.#ids.hex()}`;
    await writeFile(unnamed, "", { mode: 0o600 });
    await link(unnamed, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    await rm(unnamed);
    return inode(path);
  }
}

function tryLock(path: string): (() => void) | undefined {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
    return () => database.close();
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return undefined;
    throw error;
  }
}

async function inode(path: string): Promise<number | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return found?.ino;
}
