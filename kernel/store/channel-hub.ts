import type { Unlisten } from "./store.ts";

/** Delivers notifications inside one process. */
export class ChannelHub {
  readonly #listeners = new Map<string, Set<(payload: string) => void>>();

  listen(channel: string, listener: (payload: string) => void): Unlisten {
    let set = this.#listeners.get(channel);
    if (!set) {
      set = new Set();
      this.#listeners.set(channel, set);
    }
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** Never throws: what a listener throws is a fault of the program and surfaces as such, outside of whoever publishes. */
  publish(channel: string, payload: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(payload);
      } catch (error) {
        setImmediate(() => {
          throw error;
        });
      }
    }
  }
}
