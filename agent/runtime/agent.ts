import type { Clock } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { CommandResult, PollReply, PollRequest } from "../protocol/envelope.ts";
import type { AgentService, VerbHandler } from "./agent-service.ts";
import { Backoff } from "./backoff.ts";
import type { Call } from "./call.ts";
import { Executor } from "./executor.ts";
import { Facts } from "./facts.ts";
import type { Journal } from "./journal.ts";
import { Reporter } from "./reporter.ts";
import type { SchemaChecks } from "./schema-checks.ts";
import type { ServerSession } from "./server-link.ts";

/** A report that takes longer than this is given up and repeated. */
const REPORT_LIMIT_MS = 30_000;
/** A command that does not heed its signal for this long is left behind by a stopping agent. */
const STOP_LIMIT_MS = 10_000;
/** An epoch that was not seen for one to two of these is forgotten. */
const EPOCH_AGE_MS = 3_600_000;

export interface AgentOptions {
  /** New for every start of the agent's process. */
  bootId: string;
  session: ServerSession;
  services: readonly AgentService[];
  journal: Journal;
  checks: SchemaChecks;
  clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  random: () => number;
  log: Logger;
  /** Path of an image on this host. */
  image(source: Parameters<Call["image"]>[0], signal: AbortSignal): Promise<string>;
  /** Makes this process log as the server wishes. */
  setLogLevels(levels: Record<string, string>): void;
}

/**
 * One host's agent without its poll loop: says what to ask the server next, and does what the server answers.
 * Whoever drives it (`PollLoop`, a simulated fleet) calls `nextPoll`, then `take` or nothing, and again.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #reporter: Reporter;
  readonly #executor: Executor;
  readonly #unsubscribe: (() => void)[] = [];
  readonly #leaving = new AbortController();
  #introduced = false;
  #epochsAgedAt: number;
  readonly #facts: Facts;
  #logLevels = "{}";
  #onOutdatedPoll = () => {};

  constructor(options: AgentOptions) {
    this.#options = options;
    const { journal, clock, log } = options;
    this.#epochsAgedAt = clock.now();
    this.#facts = new Facts({ services: options.services, clock, log, onNews: () => this.#onOutdatedPoll() });
    this.#reporter = new Reporter({
      send: (report) => this.#send(report),
      onStored: (results) => this.#onStored(results),
      clock,
      backoff: new Backoff(options.random),
      log,
    });
    this.#executor = new Executor({
      verb: (name) => handlerOf(options.services, name),
      checks: options.checks,
      journal,
      reporter: this.#reporter,
      clock,
      log,
      image: options.image,
    });
    for (const service of options.services) {
      this.#unsubscribe.push(service.subscribe((event) => this.#reporter.event(event)));
    }
    for (const { key, outcome } of journal.finished()) this.#reporter.result({ key, outcome });
  }

  /** The next request to the server; the first of a boot introduces this host and is not held open. */
  async nextPoll(waitMs: number): Promise<PollRequest> {
    const { bootId, journal, services } = this.#options;
    this.#ageEpochs();
    const request: PollRequest = { bootId, known: [], waitMs: this.#introduced ? waitMs : 0 };
    const news = await this.#facts.news();
    if (news) request.services = news;
    if (!this.#introduced) {
      const entries = services.map(async (service) => [service.service, await service.inventory()] as const);
      request.inventory = Object.fromEntries(await Promise.all(entries));
    }
    const known = new Set([...this.#executor.runningKeys(), ...this.#reporter.keys()]);
    for (const key of journal.finishedKeys()) known.add(key);
    request.known = [...known];
    return request;
  }

  /** Does what the server answered to `request`. */
  take(reply: PollReply): void {
    this.#introduced = true;
    this.#facts.stored();
    for (const revoked of reply.revoked) this.#executor.revoke(revoked);
    this.#executor.forget(reply.forget);
    for (const command of reply.commands) this.#executor.accept(command);
    const levels = JSON.stringify(reply.logLevels);
    if (levels !== this.#logLevels) {
      this.#logLevels = levels;
      this.#options.setLogLevels(reply.logLevels);
    }
    this.#reporter.kick();
  }

  /** `listener` is called when a poll under way says something that is no longer so. */
  onOutdatedPoll(listener: () => void): void {
    this.#onOutdatedPoll = listener;
  }

  /** True while a report is on its way to the server. */
  get reporting(): boolean {
    return this.#reporter.busy;
  }

  /** Keys of the commands that run now. */
  runningKeys(): string[] {
    return [...this.#executor.runningKeys()];
  }

  /** Ends commands (they will be delivered again), makes a last report, releases drivers and journal. Workloads go on. */
  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await withinLimit(this.#options.clock, STOP_LIMIT_MS, this.#executor.stop());
    this.#executor.kill();
    const timer = this.#options.clock.after(STOP_LIMIT_MS, () => this.#leaving.abort());
    await this.#reporter.stop();
    timer.cancel();
    await this.#closeServices();
    this.#options.journal.close();
  }

  /** For tests: what `kill -9` would leave, which is the journal and the workloads. */
  async kill(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#executor.kill();
    this.#reporter.kill();
    this.#leaving.abort();
    await this.#closeServices();
  }

  /**
   * Epochs refuse what a former runner had sent: commands that were on their way when it was replaced. There is one poll at
   * a time, and none while the next is being made, so nothing is on its way here now; what the server hands out from here on
   * it reads from a database in which the former runner is fenced, and it can add nothing there without the lease. Epochs
   * that are an hour old have therefore done their work, whatever the clocks say; without this they would fill the disk.
   */
  #ageEpochs(): void {
    const { clock, journal } = this.#options;
    if (clock.now() - this.#epochsAgedAt < EPOCH_AGE_MS) return;
    this.#epochsAgedAt = clock.now();
    journal.ageEpochs();
  }

  async #closeServices(): Promise<void> {
    const closed = await Promise.allSettled(this.#options.services.map((service) => service.close()));
    for (const result of closed) {
      if (result.status === "rejected") this.#options.log.warn(errorFields(result.reason), "a driver did not close");
    }
    await this.#facts.close();
  }

  async #send(report: Parameters<ServerSession["report"]>[0]): Promise<void> {
    const limit = new AbortController();
    const timer = this.#options.clock.after(REPORT_LIMIT_MS, () => limit.abort());
    try {
      await this.#options.session.report(report, AbortSignal.any([limit.signal, this.#leaving.signal]));
    } finally {
      timer.cancel();
    }
  }

  /**
   * A stored success stays in the journal until the server says `forget`: a repeat must not act twice. A stored failure
   * goes, so that the same key can be tried again; the poll under way still calls it known, hence outdated.
   */
  #onStored(results: readonly CommandResult[]): void {
    const failed = results.filter((result) => !result.outcome.ok).map((result) => result.key);
    if (failed.length === 0) return;
    this.#options.journal.forget(failed);
    this.#onOutdatedPoll();
  }
}

/** Resolves when `work` is done or the limit has passed. */
function withinLimit(clock: Clock, limitMs: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, resolve);
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

/** Names of verbs are of one service only; there are few services, and thousands of hosts may share their verbs. */
function handlerOf(services: readonly AgentService[], verb: string): VerbHandler | undefined {
  for (const { verbs } of services) {
    const handler = verbs.get(verb);
    if (handler) return handler;
  }
  return undefined;
}
