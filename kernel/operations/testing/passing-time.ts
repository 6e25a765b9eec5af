import type { ManualClock } from "../../clock/manual-clock.ts";
import type { WatchedStore } from "../../store/testing/watched-store.ts";

/** What follows in memory from an answer of the database has begun something new, or nothing, after so many turns of the event loop. */
const STILL_TURNS = 3;
const STEP_MS = 500;

/** Lets time pass when nothing else can help: nothing is under way on the store, and nobody in the world has anything to do. */
export class PassingTime {
  readonly #clock: ManualClock;
  readonly #store: WatchedStore;
  readonly #busy: () => boolean;
  #still = 0;

  /** `busy`: whether something beside the store is at work that needs no time to go on. */
  constructor(tools: { clock: ManualClock; store: WatchedStore }, busy: () => boolean = () => false) {
    this.#clock = tools.clock;
    this.#store = tools.store;
    this.#busy = busy;
  }

  /** To be called at every turn of the event loop. */
  turn(): void {
    if (!this.#isStill()) return;
    this.#still = 0;
    this.#clock.advance(STEP_MS);
  }

  /** Resolves when only time could change anything. */
  async settle(): Promise<void> {
    this.#still = 0;
    do await this.#store.turn();
    while (!this.#isStill());
  }

  #isStill(): boolean {
    this.#still = this.#store.busy || this.#busy() ? 0 : this.#still + 1;
    return this.#still >= STILL_TURNS;
  }
}
