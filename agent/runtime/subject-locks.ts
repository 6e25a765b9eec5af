/** Lets one holder per subject in, in order of arrival. */
export class SubjectLocks {
  /** A subject is present while it is held; the array holds those who wait. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves with the release when it is this caller's turn; rejects with the signal's reason when it gives up first. */
  acquire(subject: string, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const queue = this.#waiting.get(subject);
    if (!queue) {
      this.#waiting.set(subject, []);
      return Promise.resolve(() => this.#release(subject));
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve(() => this.#release(subject));
      };
      const leave = () => {
        queue.splice(queue.indexOf(enter), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      queue.push(enter);
    });
  }

  #release(subject: string): void {
    const next = this.#waiting.get(subject)?.shift();
    if (next) next();
    else this.#waiting.delete(subject);
  }
}
