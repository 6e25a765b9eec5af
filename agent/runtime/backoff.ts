/** Waits between attempts to reach the server: 0.5 s doubling to 30 s, each taken at random from its upper half so that agents spread. */
export class Backoff {
  readonly #random: () => number;
  #attempt = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  nextMs(): number {
    const ceiling = Math.min(30_000, 500 * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 16);
    return ceiling * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
