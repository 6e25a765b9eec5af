import type { Clock, Timer } from "./clock.ts";

interface Pending {
  at: number;
  order: number;
  fn: () => void;
}

/** A clock that moves only when a test moves it. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, fn: () => void): Timer {
    this.#order += 1;
    const entry = { at: this.#now + Math.max(0, delayMs), order: this.#order, fn };
    this.#pending.add(entry);
    return { cancel: () => void this.#pending.delete(entry) };
  }

  /** Moves time forward and runs every timer that falls due, in order of time. */
  advance(byMs: number): void {
    const until = this.#now + byMs;
    for (;;) {
      const due = this.#nextDue(until);
      if (!due) break;
      this.#pending.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.fn();
    }
    this.#now = until;
  }

  /** Number of timers that have not fired: a leak check for tests. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  #nextDue(until: number): Pending | undefined {
    let best: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.at > until) continue;
      if (!best || entry.at < best.at || (entry.at === best.at && entry.order < best.order)) best = entry;
    }
    return best;
  }
}
