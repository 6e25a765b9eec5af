import type { Clock, Timer } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { AgentEvent, CommandProgress, CommandResult, ReportRequest } from "../protocol/envelope.ts";
import type { Backoff } from "./backoff.ts";

/** Least time between two progress reports of one key. */
const PROGRESS_GAP_MS = 200;
const BATCH = 500;
/** Older events give way: the inventory of the next boot, and every inspect, tell the truth anyway. */
const EVENT_LIMIT = 1000;

export interface ReporterOptions {
  /** Resolves when the server has stored the report. */
  send(report: ReportRequest): Promise<void>;
  /** The server has these. */
  onStored(results: readonly CommandResult[]): void;
  clock: Clock;
  backoff: Backoff;
  log: Logger;
}

/** Sends results at once, progress thinned to its latest, events in order; keeps them until the server has stored them. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #results = new Map<string, CommandResult>();
  readonly #progress = new Map<string, CommandProgress>();
  #events: AgentEvent[] = [];
  #sending: Promise<void> | undefined;
  #timer: Timer | undefined;
  #progressSentAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  result(result: CommandResult): void {
    if (this.#closed) return;
    this.#results.set(result.key, result);
    this.kick();
  }

  progress(progress: CommandProgress): void {
    if (this.#closed) return;
    this.#progress.set(progress.key, progress);
    this.#wakeIn(this.#progressWaitMs());
  }

  event(event: AgentEvent): void {
    if (this.#closed) return;
    this.#events.push(event);
    if (this.#events.length > EVENT_LIMIT) this.#events.shift();
    this.kick();
  }

  /** Keys with a result that the server does not have yet. */
  keys(): Iterable<string> {
    return this.#results.keys();
  }

  has(key: string): boolean {
    return this.#results.has(key);
  }

  /** Nobody wants the results of these keys any more. */
  drop(keys: readonly string[]): void {
    for (const key of keys) {
      this.#results.delete(key);
      this.#progress.delete(key);
    }
  }

  /** Sends now what waits; called when the server is known to be back. */
  kick(): void {
    if (this.#sending || this.#closed) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#sending = Promise.resolve().then(() => this.#sendAll());
  }

  /** True while a report is on its way. */
  get busy(): boolean {
    return this.#sending !== undefined;
  }

  /** One last attempt, then silence. */
  async stop(): Promise<void> {
    await this.#sending;
    this.#timer?.cancel();
    this.#progressSentAt = Number.NEGATIVE_INFINITY;
    if (!this.#closed) await this.#sendAll();
    this.kill();
  }

  /** Silence at once. */
  kill(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #wakeIn(ms: number): void {
    if (this.#timer || this.#sending || this.#closed) return;
    this.#timer = this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      this.#sending = this.#sendAll();
    });
  }

  #progressWaitMs(): number {
    return Math.max(0, this.#progressSentAt + PROGRESS_GAP_MS - this.#options.clock.now());
  }

  async #sendAll(): Promise<void> {
    let failed = false;
    for (let batch = this.#take(); batch && !this.#closed; batch = this.#take()) {
      try {
        await this.#options.send(batch);
        this.#stored(batch);
      } catch (error) {
        this.#putBack(batch);
        this.#options.log.debug(errorFields(error), "report failed; will repeat");
        failed = true;
        break;
      }
    }
    this.#sending = undefined;
    if (failed) this.#wakeIn(this.#options.backoff.nextMs());
    else if (this.#progress.size > 0) this.#wakeIn(this.#progressWaitMs());
  }

  /** Progress of a finished key leaves with its result, other progress when it is time. */
  #take(): ReportRequest | undefined {
    const results = [...this.#results.values()].slice(0, BATCH);
    const due = this.#progressWaitMs() === 0;
    const progress = [...this.#progress.values()].filter(({ key }) => due || this.#results.has(key));
    for (const { key } of progress) this.#progress.delete(key);
    if (due && progress.length > 0) this.#progressSentAt = this.#options.clock.now();
    const events = this.#events;
    this.#events = [];
    return results.length + progress.length + events.length === 0 ? undefined : { results, progress, events };
  }

  #stored(batch: ReportRequest): void {
    this.#options.backoff.reset();
    if (this.#closed) return;
    const stored = batch.results.filter((result) => this.#results.get(result.key) === result);
    for (const { key } of stored) this.#results.delete(key);
    this.#options.onStored(stored);
  }

  /** Results never left; progress goes back unless something newer has come. */
  #putBack(batch: ReportRequest): void {
    for (const entry of batch.progress) if (!this.#progress.has(entry.key)) this.#progress.set(entry.key, entry);
    this.#events = [...batch.events, ...this.#events].slice(-EVENT_LIMIT);
  }
}
