import type { Logger } from "../log/logger.ts";
import type { Tx } from "../store/store.ts";
import { CONTROL_CHANNEL, DUE_CHANNEL } from "./channels.ts";
import { type AnyStep, type EffectContext, type Json, type ReceivedSignal, Wait } from "./definition.ts";
import { type ExecutionEnvironment, percentWithin } from "./environment.ts";
import type { Journal } from "./journal.ts";
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
  readonly #handlers = new Map<string, ((signal: ReceivedSignal) => void)[]>();
  readonly #asked = new Set<string>();
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
    const call = env.callers.caller({
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
      call,
      progress: (percent, detail) => this.#report(percent, detail),
      received: (name) => this.#received(name),
      onSignal: (name, fn) => this.#onSignal(name, fn),
      wait: (wait) => new Wait(wait),
    };
  }

  /** Runs the work; rejects at once when it is aborted, even if the work itself does not notice. */
  async finish<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([aborted.promise, work()]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#progress = undefined;
      await this.#writing;
    }
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Stops calls that the work left behind. */
  close(): void {
    this.#progress = undefined;
  }

  deliver(signals: readonly Delivered[]): void {
    for (const signal of signals) {
      if (this.#delivered.has(signal.id)) continue;
      this.#delivered.set(signal.id, signal);
      for (const handler of this.#handlers.get(signal.name) ?? []) handler(signal);
    }
  }

  async consumeSignals(t: Tx): Promise<void> {
    const ids = [...this.#delivered.values()].filter((s) => this.#asked.has(s.name)).map((s) => s.id);
    if (ids.length > 0)
      await t.tables<OperationTables>().deleteFrom("operation_signals").where("id", "in", ids).execute();
  }

  /** After parking: if one of the awaited signals is already there, the operation is due at once. */
  async wakeIfSignalled(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const { op } = this.#journal;
    await this.#env.store.tx(async (t) => {
      const db = t.tables<OperationTables>();
      const waiting = await db
        .selectFrom("operation_signals")
        .select("id")
        .where("operation_id", "=", op.id)
        .where("name", "in", names)
        .execute();
      if (!waiting.some((signal) => !this.#delivered.has(signal.id))) return;
      await db
        .updateTable("operations")
        .set({ run_at: this.#env.clock.now(), state: "ready" })
        .where("id", "=", op.id)
        .where("state", "=", "waiting")
        .execute();
      t.notify(DUE_CHANNEL, "");
      t.notify(CONTROL_CHANNEL, op.id);
    });
  }

  #received(name: string): ReceivedSignal | undefined {
    this.#asked.add(name);
    return [...this.#delivered.values()].find((s) => s.name === name);
  }

  #onSignal(name: string, fn: (signal: ReceivedSignal) => void): void {
    this.#asked.add(name);
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), fn]);
    for (const signal of this.#delivered.values()) if (signal.name === name) fn(signal);
  }

  #report(percent: number, detail: Record<string, Json> | undefined): void {
    this.#progress = { percent, detail };
    const now = this.#env.clock.now();
    if (now - this.#progressAt < PROGRESS_EVERY_MS && percent < 100) return;
    this.#progressAt = now;
    this.#writing = this.#writing.then(() => this.#writeProgress());
  }

  /** Progress is a courtesy: it must never make the work fail, and a lost lease shows up at the next commit. */
  async #writeProgress(): Promise<void> {
    const progress = this.#progress;
    if (!progress) return;
    const percent = percentWithin(this.step, progress.percent);
    const detail = progress.detail === undefined ? {} : { detail: JSON.stringify(progress.detail) };
    await this.#journal
      .commit({ ...(this.step.common.span ? { percent } : {}), ...detail }, async () => {})
      .catch(() => {});
  }
}
