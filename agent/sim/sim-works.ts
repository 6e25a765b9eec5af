import type { Clock, Timer } from "../../kernel/clock/clock.ts";

/** `auto`: work advances with the clock. `manual`: only when a test calls `step` or `drain`. */
export type SimMode = "auto" | "manual";

export interface SimWork {
  /** Duration in `auto` mode, milliseconds. */
  totalMs: number;
  /** Told the fraction done after each step but the last. */
  onStep(fraction: number): void;
  onEnd(): void;
}

export interface WorkHandle {
  readonly fraction: number;
  /** Ends it now, as done. */
  finish(): void;
  /** Ends it now, without a word. */
  cancel(): void;
  /** While true it nears its end but never reaches it: a guest that dirties memory faster than it is sent. */
  stalled: boolean;
}

const STEP = 0.25;
/** In `auto` mode long work shows progress at least this often. */
const LONGEST_STEP_MS = 250;
const ALMOST = 0.9;

interface Active extends WorkHandle {
  fraction: number;
  advance(): void;
}

/** Everything in a simulated world that takes time. Idle things cost nothing: a timer exists per work under way only. */
export class SimWorks {
  readonly #clock: Clock;
  readonly #mode: SimMode;
  readonly #active = new Set<Active>();

  constructor(clock: Clock, mode: SimMode) {
    this.#clock = clock;
    this.#mode = mode;
  }

  get active(): number {
    return this.#active.size;
  }

  begin(work: SimWork): WorkHandle {
    let timer: Timer | undefined;
    const stepMs = Math.min(work.totalMs * STEP, LONGEST_STEP_MS);
    const step = this.#mode === "manual" || work.totalMs <= 0 ? STEP : stepMs / work.totalMs;
    const end = (): boolean => {
      timer?.cancel();
      return this.#active.delete(active);
    };
    const arm = () => {
      if (this.#mode === "auto") timer = this.#clock.after(stepMs, active.advance);
    };
    const active: Active = {
      fraction: 0,
      stalled: false,
      advance: () => {
        const next = Math.min(active.stalled ? ALMOST : 1, active.fraction + step);
        active.fraction = next;
        if (next >= 1) {
          active.finish();
          return;
        }
        work.onStep(next);
        if (this.#active.has(active)) arm();
      },
      finish: () => {
        if (!end()) return;
        active.fraction = 1;
        work.onEnd();
      },
      cancel: () => void end(),
    };
    this.#active.add(active);
    arm();
    return active;
  }

  /** Moves everything under way forward by a quarter. */
  step(): void {
    for (const active of [...this.#active]) if (this.#active.has(active)) active.advance();
  }

  /** Ends everything under way, without a word: the world ends. */
  close(): void {
    for (const active of [...this.#active]) active.cancel();
  }

  /** Ends everything under way that can end. */
  drain(): void {
    for (const active of [...this.#active]) if (!active.stalled) active.finish();
  }
}
