import { mkdir, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";

/** Without hardware help six guests booting at once need 46 s, two need 9 s. */
const SLOTS = 2;
/** A slot this old was left behind. */
const LONGEST_BOOT_MS = 45_000;

/** Limits how many guests boot at the same time, over all processes that use the same folder. */
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
        const path = join(this.#dir, `boot-${slot}`);
        if (await this.#claim(path)) return once(() => rm(path, { force: true }));
      }
      await sleep(this.#clock, 100, signal);
    }
  }

  async #claim(path: string): Promise<boolean> {
    const taken = await stat(path).catch(() => undefined);
    if (taken && this.#clock.now() - taken.mtimeMs > LONGEST_BOOT_MS) await rm(path, { force: true });
    const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return undefined;
      throw error;
    });
    await file?.close();
    return file !== undefined;
  }
}

function once(give: () => Promise<void>): () => Promise<void> {
  let given = false;
  return async () => {
    if (given) return;
    given = true;
    await give();
  };
}
