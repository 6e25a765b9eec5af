/** One time at which things are judged, and for how long every judgement made with it stays right. */
export class Moment {
  readonly now: number;
  #after = Number.NEGATIVE_INFINITY;
  #until = Number.POSITIVE_INFINITY;

  /** Epoch milliseconds, as all times here. */
  constructor(now: number) {
    this.now = now;
  }

  /** Whether that time is over. */
  isPast(time: number): boolean {
    const past = this.now > time;
    if (past) this.#after = Math.max(this.#after, time);
    else this.#until = Math.min(this.#until, time);
    return past;
  }

  /** True when all that was asked of this moment would be answered the same at that time. */
  holdsAt(time: number): boolean {
    return time > this.#after && time <= this.#until;
  }
}
