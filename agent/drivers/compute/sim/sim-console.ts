/** The guest prints one `tick N` per this many milliseconds of running. */
export const TICK_MS = 100;

/** Counts ticks while its guest runs, by looking at the clock when asked. Part of the disk: it outlives the guest's process. */
export class SimTicker {
  #ticks: number;
  #since: number | undefined;

  constructor(ticks = 0) {
    this.#ticks = ticks;
  }

  start(nowMs: number): void {
    this.#since ??= nowMs;
  }

  stop(nowMs: number): void {
    this.#ticks = this.at(nowMs);
    this.#since = undefined;
  }

  at(nowMs: number): number {
    return this.#ticks + (this.#since === undefined ? 0 : Math.floor((nowMs - this.#since) / TICK_MS));
  }
}

type Segment = string | { from: number; to: number };

const SEGMENT_LIMIT = 200;
const LINE_LIMIT = 10_000;

/** A serial log that stores ranges of ticks instead of their lines. */
export class SimConsole {
  #segments: Segment[] = [];
  /** Ticks up to here are in the log. */
  #seen = 0;

  print(line: string): void {
    this.#segments.push(line);
    if (this.#segments.length > SEGMENT_LIMIT) this.#segments.splice(0, this.#segments.length - SEGMENT_LIMIT);
  }

  /** Takes over the ticks up to `ticks`. */
  catchUp(ticks: number): void {
    if (ticks <= this.#seen) return;
    const last = this.#segments.at(-1);
    if (typeof last === "object" && last.to === this.#seen) last.to = ticks;
    else this.#segments.push({ from: this.#seen + 1, to: ticks });
    this.#seen = ticks;
  }

  /** Ticks before this one happened elsewhere. */
  startFrom(ticks: number): void {
    this.#seen = Math.max(this.#seen, ticks);
  }

  /** The last `lines` lines, all that is kept when null. */
  text(lines: number | null): string {
    const wanted = Math.min(lines ?? LINE_LIMIT, LINE_LIMIT);
    const tail: string[] = [];
    for (let i = this.#segments.length - 1; i >= 0 && tail.length < wanted; i -= 1) {
      const segment = this.#segments[i];
      if (typeof segment === "string") tail.push(segment);
      else if (segment) {
        for (let n = segment.to; n >= segment.from && tail.length < wanted; n -= 1) tail.push(`tick ${n}`);
      }
    }
    return tail.length === 0 ? "" : `${tail.reverse().join("\n")}\n`;
  }
}
