import type { Clock, Timer } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { Reconciler } from "../../kernel/service/manifest.ts";

/** Runs each reconciler again and again, never twice at the same time. */
export class ReconcileLoop {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #timers = new Map<string, Timer>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(clock: Clock, log: Logger, reconcilers: readonly Reconciler[]) {
    this.#clock = clock;
    this.#log = log;
    for (const reconciler of reconcilers) this.#schedule(reconciler);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers.values()) timer.cancel();
    await Promise.all(this.#running);
  }

  #schedule(reconciler: Reconciler): void {
    if (this.#stopping.signal.aborted) return;
    const timer = this.#clock.after(reconciler.everyMs, () => {
      const run = reconciler
        .run(this.#stopping.signal)
        .catch((error: unknown) => {
          if (this.#stopping.signal.aborted) return;
          this.#log.error({ reconciler: reconciler.name, ...errorFields(error) }, "reconciler failed");
        })
        .finally(() => {
          this.#running.delete(run);
          this.#schedule(reconciler);
        });
      this.#running.add(run);
    });
    this.#timers.set(reconciler.name, timer);
  }
}
