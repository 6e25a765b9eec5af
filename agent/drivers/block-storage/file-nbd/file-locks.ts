import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import { isId } from "./site.ts";

const LOOK_AGAIN_MS = 10;
const SQLITE_BUSY = 5;
/** Of an id that names its lock file: 65,536 files at most, and two volumes in use rarely share one. */
const DIGITS = 4;

/**
 * Locks that processes of several hosts share through a folder. The kernel holds them, by way of SQLite, so that they end with
 * their holder: whoever comes next finds the records that the dead one has left, and goes on from there. Their files stay for ever,
 * and volumes share them: of a file that may be removed and made anew nobody can tell for certain which one he has locked.
 * So nobody who holds the lock of a volume or snapshot asks for another one's; he asks for both at once.
 */
export class FileLocks {
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(folder: string, options: { clock: Clock }) {
    this.#folder = folder;
    this.#clock = options.clock;
  }

  /** Runs `work` as the only one who holds any of these names. Always the same order: nobody waits in a circle. */
  async holding<T>(names: readonly string[], signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const held: (() => void)[] = [];
    try {
      for (const file of [...new Set(names.map(fileOf))].toSorted()) held.push(await this.#acquire(file, signal));
      return await work();
    } finally {
      for (const release of held) release();
    }
  }

  async #acquire(file: string, signal: AbortSignal): Promise<() => void> {
    const path = join(this.#folder, file);
    for (;;) {
      signal.throwIfAborted();
      const release = tryLock(path);
      if (release) return release;
      await sleep(this.#clock, LOOK_AGAIN_MS, signal);
    }
  }
}

function fileOf(name: string): string {
  return `${isId(name) ? name.slice(0, DIGITS) : name}.lock`;
}

/** Nothing else ever opens the file: whoever closes it by himself loses all of his process's locks on it. */
function tryLock(path: string): (() => void) | undefined {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // In memory: an empty file's journal holds nothing that anybody needs.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return () => database.close();
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return undefined;
    throw error;
  }
}
