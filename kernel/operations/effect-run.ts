import type { Logger } from "../log/logger.ts";
import type { Tx } from "../store/store.ts";
import type { CommandCaller } from "./command-caller.ts";
import { type AnyStep, type EffectContext, type Json, type ReceivedSignal, Wait } from "./definition.ts";
import { type ExecutionEnvironment, percentPatch } from "./environment.ts";
import { type Journal, LeaseLost } from "./journal.ts";
import type { OperationTables } from "./tables.ts";

interface Delivered extends ReceivedSignal {
  id: string;
}

/** Progress is written at most this often. */
const PROGRESS_EVERY_MS = 500;

/** One call of an effect or its undo: its context, its abort signal, the signals that reach it. */
export class EffectRun {
  readonly step: AnyStep;
  readonly phase: "do" | "undo";
  readonly context: EffectContext;
  readonly #env: ExecutionEnvironment;
  readonly #journal: Journal;
  readonly #abort = new AbortController();
  readonly #delivered = new Map<string, Delivered>();
  readonly #call: CommandCaller["call"];
  readonly #handlers = new Map<string, ((signal: ReceivedSignal) => void)[]>();
  readonly #asked = new Set<string>();
  readonly #seen = new Set<string>();
  #open = true;
  #calledHost: string | null = null;
  #progress: { percent: number; detail: Record<string, Json> | undefined } | undefined;
  #progressAt = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: {
    env: ExecutionEnvironment;
    log: Logger;
    journal: Journal;
    step: AnyStep;
    phase: "do" | "undo";
    attempt: number;
  }) {
    const { env, journal, step, phase } = options;
    this.#env = env;
    this.#journal = journal;
    this.step = step;
    this.phase = phase;
    this.#call = env.callers.caller({
      operationId: journal.op.id,
      step: step.name,
      phase: `${phase}${journal.op.run}`,
      epoch: journal.op.epoch,
      resourceId: journal.op.resource_id,
      signal: this.#abort.signal,
    });
    this.context = {
      key: `${journal.op.id}/${step.name}`,
      attempt: options.attempt,
      read: env.store.read,
      log: options.log,
      signal: this.#abort.signal,
      call: (table, verb, input, to) => {
        if ("host" in to.to) this.#calledHost = to.to.host;
        return this.#untilAborted(() => this.#call(table, verb, input, to));
      },
      progress: (percent, detail) => this.#report(percent, detail),
      received: (name) => this.#received(name),
      onSignal: (name, fn) => this.#onSignal(name, fn),
      wait: (wait) => new Wait(wait),
    };
  }

  /**
   * Runs the work. Rejects when it was aborted: at once when the lease is gone, but after a cancel only when the work has
   * returned, so that it never runs beside its own undo.
   */
  async finish<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    try {
      signal.throwIfAborted();
      const fenced = Promise.withResolvers<never>();
      const onAbort = () => {
        if (signal.reason instanceof LeaseLost) fenced.reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        const result = await Promise.race([fenced.promise, work()]);
        signal.throwIfAborted();
        return result;
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    } finally {
      this.#open = false;
      await this.#writing;
    }
  }

  /** The host that was called last. */
  get calledHost(): string | null {
    return this.#calledHost;
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  async #untilAborted<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([aborted.promise, work()]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  deliver(signals: readonly Delivered[]): void {
    if (!this.#open) return;
    for (const signal of signals) {
      if (this.#delivered.has(signal.id)) continue;
      this.#delivered.set(signal.id, signal);
      for (const handler of this.#handlers.get(signal.name) ?? []) this.#hand(signal, handler);
    }
  }

  async consumeSignals(t: Tx): Promise<void> {
    const ids = [...this.#delivered.values()].filter((s) => this.#asked.has(s.name)).map((s) => s.id);
    if (ids.length > 0)
      await t.tables<OperationTables>().deleteFrom("operation_signals").where("id", "in", ids).execute();
  }

  /** True when a signal of these names is there that the step has not been told about. */
  async hasUnseen(t: Tx, names: readonly string[]): Promise<boolean> {
    if (names.length === 0) return false;
    const present = await t
      .tables<OperationTables>()
      .selectFrom("operation_signals")
      .select("id")
      .where("operation_id", "=", this.#journal.op.id)
      .where("name", "in", names)
      .execute();
    return present.some((signal) => !this.#seen.has(signal.id));
  }

  /** Whoever is given the oldest knows that there may be more of that name. */
  #received(name: string): ReceivedSignal | undefined {
    this.#asked.add(name);
    const found = [...this.#delivered.values()].filter((s) => s.name === name);
    for (const signal of found) this.#seen.add(signal.id);
    return found[0];
  }

  #onSignal(name: string, fn: (signal: ReceivedSignal) => void): void {
    this.#asked.add(name);
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), fn]);
    for (const signal of this.#delivered.values()) if (signal.name === name) this.#hand(signal, fn);
  }

  #hand(signal: Delivered, fn: (signal: ReceivedSignal) => void): void {
    this.#seen.add(signal.id);
    fn(signal);
  }

  #report(percent: number, detail: Record<string, Json> | undefined): void {
    if (!this.#open) return;
    this.#progress = { percent, detail };
    const now = this.#env.clock.now();
    if (now - this.#progressAt < PROGRESS_EVERY_MS && percent < 100) return;
    this.#progressAt = now;
    this.#writing = this.#writing.then(() => this.#writeProgress());
  }

  /** Progress is a courtesy: it must never make the work fail, and a lost lease shows up at the next commit. */
  async #writeProgress(): Promise<void> {
    const progress = this.#progress;
    if (!progress || !this.#open) return;
    const detail = progress.detail === undefined ? {} : { detail: JSON.stringify(progress.detail) };
    await this.#journal
      .commit({ ...percentPatch(this.step, progress.percent), ...detail }, async () => {})
      .catch(() => {});
  }
}
