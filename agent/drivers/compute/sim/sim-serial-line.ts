import { Duplex } from "node:stream";
import type { Clock, Timer } from "../../../../kernel/clock/clock.ts";
import { TICK_MS } from "./sim-console.ts";

/** One open connection to a simulated serial port: prints ticks as they come and echoes what is typed. */
export class SimSerialLine extends Duplex {
  readonly #clock: Clock;
  readonly #ticks: () => number | undefined;
  #timer: Timer | undefined;
  #last: number | undefined;

  /** `ticks` gives the guest's count now; undefined once it is gone, which hangs up. */
  constructor(clock: Clock, ticks: () => number | undefined) {
    super();
    this.#clock = clock;
    this.#ticks = ticks;
    this.#listen();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.#hangUp();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#timer?.cancel();
    done(error);
  }

  #listen(): void {
    this.#timer = this.#clock.after(TICK_MS, () => {
      const ticks = this.#ticks();
      if (ticks === undefined) {
        this.#hangUp();
        return;
      }
      if (ticks !== this.#last) this.push(`tick ${ticks}\r\n`);
      this.#last = ticks;
      this.#listen();
    });
  }

  #hangUp(): void {
    this.#timer?.cancel();
    this.push(null);
  }
}
