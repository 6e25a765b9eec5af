import type { Clock, Timer } from "../../kernel/clock/clock.ts";
import { CloudError, publicFault } from "../../kernel/errors/cloud-error.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { Command, PollReply } from "../protocol/envelope.ts";
import type { VerbHandler } from "./agent-service.ts";
import type { Call } from "./call.ts";
import type { Journal, Outcome } from "./journal.ts";
import type { Reporter } from "./reporter.ts";
import type { SchemaChecks } from "./schema-checks.ts";
import { SubjectLocks } from "./subject-locks.ts";

/** Timers of the platform cannot be longer. */
const LONGEST_TIMER_MS = 2_000_000_000;

export interface ExecutorOptions {
  verb(name: string): VerbHandler | undefined;
  checks: SchemaChecks;
  journal: Journal;
  reporter: Reporter;
  clock: Clock;
  log: Logger;
  image(source: Parameters<Call["image"]>[0], signal: AbortSignal): Promise<string>;
}

interface Running {
  epoch: number;
  readonly abort: AbortController;
  /** Its result goes nowhere: revoked, or the agent is stopping. */
  unwanted: boolean;
  disarm: () => void;
  done: Promise<void>;
}

/** Runs commands: each key once at a time, changes of one subject one after another, none of an epoch that has passed. */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #running = new Map<string, Running>();
  readonly #locks = new SubjectLocks();
  #stopped = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** Starts the command, joins it when it runs, or repeats the answer it had. The outcome goes to the reporter. */
  accept(command: Command): void {
    if (this.#stopped) return;
    const { journal, reporter } = this.#options;
    const running = this.#running.get(command.key);
    if (running) {
      running.epoch = Math.max(running.epoch, command.epoch);
      journal.raiseEpoch(command.subject, running.epoch);
      return;
    }
    if (reporter.has(command.key)) return;
    const outcome = journal.outcome(command.key);
    if (outcome) {
      journal.raiseEpoch(command.subject, command.epoch);
      reporter.result({ key: command.key, epoch: command.epoch, outcome });
      return;
    }
    try {
      this.#start(command, this.#check(command));
    } catch (error) {
      this.#options.log.info({ key: command.key, verb: command.verb, ...errorFields(error) }, "command refused");
      reporter.result({ key: command.key, epoch: command.epoch, outcome: { ok: false, fault: publicFault(error) } });
    }
  }

  /** Aborts the command and refuses everything older than the revocation's epoch on its subject. Nothing is reported. */
  revoke(revoked: PollReply["revoked"][number]): void {
    this.#options.journal.raiseEpoch(revoked.subject, revoked.epoch);
    const running = this.#running.get(revoked.key);
    if (!running) {
      this.forget([revoked.key]);
      return;
    }
    if (running.epoch <= revoked.epoch) this.#abandon(running);
  }

  /** The server has the answers to these keys, or does not want them: what still runs is aborted. */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.#abandon(this.#running.get(key));
    const idle = keys.filter((key) => !this.#running.has(key));
    this.#options.reporter.drop(idle);
    this.#options.journal.forget(idle);
  }

  #abandon(running: Running | undefined): void {
    if (!running || running.unwanted) return;
    running.unwanted = true;
    running.abort.abort(new CloudError("conflict", "agent.revoked", "The command was revoked."));
  }

  runningKeys(): Iterable<string> {
    return this.#running.keys();
  }

  /** Aborts what runs and waits for it; the server will send it again to the next boot. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const reason = new CloudError("unavailable", "agent.stopping", "The agent is stopping.");
    const all = [...this.#running.values()];
    for (const running of all) {
      running.unwanted = true;
      running.abort.abort(reason);
    }
    await Promise.all(all.map((running) => running.done));
  }

  /** As if the process were gone: whatever still comes from a driver is ignored. */
  kill(): void {
    this.#stopped = true;
    for (const running of this.#running.values()) {
      running.unwanted = true;
      running.disarm();
    }
    this.#running.clear();
  }

  #check(command: Command): VerbHandler {
    const handler = this.#options.verb(command.verb);
    if (!handler) {
      throw new CloudError("invalid", "agent.unknown_verb", `This host does not provide ${command.verb}.`);
    }
    this.#options.checks.requireInput(command.verb, handler.definition, command.input);
    if (handler.mode !== "read" && command.epoch < this.#options.journal.highestEpoch(command.subject)) {
      throw new CloudError("conflict", "fleet.stale_epoch", "A newer holder of this operation has taken over.");
    }
    return handler;
  }

  #start(command: Command, handler: VerbHandler): void {
    if (handler.mode !== "read") this.#options.journal.begin(command.key, command.subject, command.epoch);
    const running: Running = {
      epoch: command.epoch,
      abort: new AbortController(),
      unwanted: false,
      disarm: () => {},
      done: Promise.resolve(),
    };
    running.disarm = this.#armDeadline(command.timeLeftMs, running.abort);
    this.#running.set(command.key, running);
    running.done = this.#runToEnd(command, handler, running);
  }

  async #runToEnd(command: Command, handler: VerbHandler, running: Running): Promise<void> {
    const outcome = await this.#outcome(command, handler, running);
    if (this.#running.get(command.key) !== running) return;
    this.#running.delete(command.key);
    const { journal, reporter } = this.#options;
    if (running.unwanted) {
      if (!this.#stopped) this.forget([command.key]);
      return;
    }
    if (handler.mode !== "read") journal.finish(command.key, outcome);
    reporter.result({ key: command.key, epoch: running.epoch, outcome });
  }

  async #outcome(command: Command, handler: VerbHandler, running: Running): Promise<Outcome> {
    const { signal } = running.abort;
    const log = this.#options.log.with({ key: command.key, verb: command.verb, subject: command.subject });
    let release = () => {};
    try {
      if (handler.mode === "change") release = await this.#locks.acquire(command.subject, signal);
      signal.throwIfAborted();
      const result = await handler.run(command.input, this.#call(command, running, log));
      return { ok: true, result: result ?? {} };
    } catch (error) {
      const told = signal.aborted ? signal.reason : error;
      if (!(told instanceof CloudError) || told.kind === "internal") log.error(errorFields(error), "command failed");
      else log.info(errorFields(told), "command failed");
      return { ok: false, fault: publicFault(told) };
    } finally {
      running.disarm();
      release();
    }
  }

  #call(command: Command, running: Running, log: Logger): Call {
    const { reporter, image, clock } = this.#options;
    const { signal } = running.abort;
    return {
      key: command.key,
      epoch: command.epoch,
      deadline: new Date(clock.now() + command.timeLeftMs),
      signal,
      log,
      progress: (percent, detail = {}) => {
        if (!running.unwanted) reporter.progress({ key: command.key, percent, detail });
      },
      image: (source) => image(source, signal),
    };
  }

  /** Counts by timers alone, which do not jump when somebody sets the host's clock. */
  #armDeadline(timeLeftMs: number, abort: AbortController): () => void {
    const { clock } = this.#options;
    let timer: Timer | undefined;
    const wait = (leftMs: number) => {
      const partMs = Math.min(leftMs, LONGEST_TIMER_MS);
      if (leftMs > 0) timer = clock.after(partMs, () => wait(leftMs - partMs));
      else abort.abort(new CloudError("unavailable", "agent.deadline_exceeded", "The command ran out of time."));
    };
    wait(timeLeftMs);
    return () => timer?.cancel();
  }
}
