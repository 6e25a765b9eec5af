import type { Clock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

/**
 * What can go wrong with one call of a simulated driver:
 * `fail`       throws `error` before acting;
 * `loseReply`  acts, then throws as a broken connection would: whoever retries meets its own work;
 * `repeat`     acts twice and answers once;
 * `hang`       waits for `release()` (or for the call's abort) before acting;
 * `late`       acts, answers `delayMs` later;
 * `crash`      the agent dies before or after acting; the call never ends.
 */
export type SimFault =
  | { type: "fail"; error: CloudError }
  | { type: "loseReply" }
  | { type: "repeat" }
  | { type: "hang" }
  | { type: "late"; delayMs: number }
  | { type: "crash"; when: "before" | "after" };

export interface FaultRule {
  /** All hosts when absent. */
  host?: string;
  /** `compute.ensure`; all verbs when absent. */
  verb?: string;
  /** How many calls it hits; 1 when absent. */
  times?: number;
  fault: SimFault;
}

export interface FaultHandle {
  /** Calls hit so far. */
  readonly hits: number;
  /** Lets calls that hang go on, those to come too. */
  release(): void;
  /** Hits nothing more; what hangs goes on. */
  remove(): void;
}

interface Active {
  rule: FaultRule;
  left: number;
  hits: number;
  released: Promise<void>;
}

/** Faults on demand for simulated drivers, by host and verb. The first rule that matches a call hits it. */
export class SimFaults {
  readonly #clock: Clock;
  readonly #rules = new Set<Active>();
  #onCrash: (host: string) => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(rule: FaultRule): FaultHandle {
    const { promise, resolve } = Promise.withResolvers<void>();
    const active: Active = { rule, left: rule.times ?? 1, hits: 0, released: promise };
    this.#rules.add(active);
    return {
      get hits() {
        return active.hits;
      },
      release: resolve,
      remove: () => {
        this.#rules.delete(active);
        resolve();
      },
    };
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Who kills the agent of a host when a `crash` strikes. */
  onCrash(listener: (host: string) => void): void {
    this.#onCrash = listener;
  }

  /** Runs `act` as one call, hit by what has been asked for. */
  async around<T>(host: string, verb: string, signal: AbortSignal, act: () => T | Promise<T>): Promise<T> {
    const fault = this.#rules.size === 0 ? undefined : this.#take(host, verb);
    if (!fault) return await act();
    switch (fault.rule.fault.type) {
      case "fail":
        throw fault.rule.fault.error;
      case "loseReply":
        await act();
        throw new CloudError("unavailable", "sim.reply_lost", "The reply was lost.");
      case "repeat":
        await act();
        return await act();
      case "hang":
        await orAborted(fault.released, signal);
        return await act();
      case "late": {
        const result = await act();
        const { delayMs } = fault.rule.fault;
        await orAborted(new Promise<void>((resolve) => void this.#clock.after(delayMs, resolve)), signal);
        return result;
      }
      case "crash":
        if (fault.rule.fault.when === "after") await act();
        this.#onCrash(host);
        return await new Promise<never>(() => {});
    }
  }

  #take(host: string, verb: string): Active | undefined {
    for (const active of this.#rules) {
      const { rule } = active;
      if (active.left <= 0 || (rule.host ?? host) !== host || (rule.verb ?? verb) !== verb) continue;
      active.left -= 1;
      active.hits += 1;
      return active;
    }
    return undefined;
  }
}

/** Resolves with `work`, or rejects with the signal's reason when that comes first; `work` itself goes on. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
