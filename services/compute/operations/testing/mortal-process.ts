import type { Clock, Timer } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { Store, Tx, Unlisten } from "../../../../kernel/store/store.ts";

/** What one process of the server sees of database and time. After its death neither reaches it, nor it them: `kill -9`. */
export class MortalProcess {
  readonly store: Store;
  readonly clock: Clock;
  readonly #undo = new Set<() => void>();
  readonly #death = Promise.withResolvers<never>();
  #alive = true;

  constructor(store: Store, clock: Clock) {
    this.#death.promise.catch(() => {});
    this.store = this.#mortalStore(store);
    this.clock = { now: () => clock.now(), after: (delayMs, fn) => this.#timer(clock, delayMs, fn) };
  }

  die(): void {
    this.#alive = false;
    this.#death.reject(new CloudError("unavailable", "test.server_died", "The server died."));
    for (const undo of this.#undo) undo();
    this.#undo.clear();
  }

  /** A request to the process: its connection breaks when the process dies. */
  async asked<T>(answer: Promise<T>): Promise<T> {
    return await Promise.race([answer, this.#death.promise]);
  }

  #timer(clock: Clock, delayMs: number, fn: () => void): Timer {
    if (!this.#alive) return { cancel: () => {} };
    const timer = clock.after(delayMs, () => {
      this.#undo.delete(cancel);
      fn();
    });
    const cancel = () => {
      this.#undo.delete(cancel);
      timer.cancel();
    };
    this.#undo.add(cancel);
    return { cancel };
  }

  #mortalStore(store: Store): Store {
    return {
      dialect: store.dialect,
      exclusive: store.exclusive,
      read: store.read,
      reading: () => store.reading(),
      // A commit under way may still happen; its caller never hears of it.
      tx: <T>(fn: (t: Tx) => Promise<T>) =>
        new Promise<T>((resolve, reject) => {
          if (!this.#alive) return;
          store.tx(fn).then(
            (value) => this.#alive && resolve(value),
            (error) => this.#alive && reject(error),
          );
        }),
      listen: (channel, listener): Unlisten => {
        const unlisten = store.listen(channel, listener);
        this.#undo.add(unlisten);
        return unlisten;
      },
      close: async () => {},
    };
  }
}
