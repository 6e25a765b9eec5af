import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";

/** Without hardware help six guests booting at once need 46 s, two need 9 s. */
const SLOTS = 2;
/** What SQLite says when another holds the lock. */
const SQLITE_BUSY = 5;

/**
 * Limits how many guests boot at the same time, over all processes that use the same folder. A slot is a lock on a file, which
 * the kernel takes back from a process that ends: nobody else ever has to judge whether a slot was left behind.
 */
export class BootSlots {
  readonly #dir: string;
  readonly #clock: Clock;

  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
  }

  /** Waits for a slot; the result gives it back, however often it is called. */
  async take(signal: AbortSignal): Promise<() => Promise<void>> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (;;) {
      for (let slot = 0; slot < SLOTS; slot += 1) {
        const held = lock(join(this.#dir, `boot-${slot}.lock`));
        if (held) return once(held);
      }
      await sleep(this.#clock, 100, signal);
    }
  }
}

/** Undefined when another process, or another boot of this one, has it. Nothing is ever written to the file. */
function lock(path: string): (() => void) | undefined {
  const file = new DatabaseSync(path);
  try {
    file.exec("BEGIN EXCLUSIVE");
    return () => file.close();
  } catch (error) {
    file.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}

function once(give: () => void): () => Promise<void> {
  let given = false;
  return async () => {
    if (given) return;
    given = true;
    give();
  };
}
