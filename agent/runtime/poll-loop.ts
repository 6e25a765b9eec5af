import { type Clock, sleep } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { Agent } from "./agent.ts";
import { Backoff } from "./backoff.ts";
import type { ServerSession } from "./server-link.ts";

/** How much longer than `waitMs` a poll may take before the connection counts as dead. */
const POLL_GRACE_MS = 15_000;

export interface PollLoopOptions {
  agent: Agent;
  session: ServerSession;
  clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  random: () => number;
  log: Logger;
  /** How long the server may hold a poll open; also the longest gap between two heartbeats. */
  waitMs?: number;
}

/** Polls for as long as the agent lives: at once after an answer, with growing pauses while the server is away. */
export class PollLoop {
  readonly #options: PollLoopOptions;
  readonly #stopping = new AbortController();
  #poll = new AbortController();
  #outdated = false;
  #done: Promise<void> | undefined;

  constructor(options: PollLoopOptions) {
    this.#options = options;
    options.agent.onOutdatedPoll(() => {
      this.#outdated = true;
      this.#poll.abort();
    });
  }

  start(): void {
    this.#done ??= this.#run();
  }

  /** Ends the loop, and the poll under way with it; the agent itself goes on until it is stopped. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#poll.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options;
    const backoff = new Backoff(random);
    let away = false;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#once();
        backoff.reset();
        if (away) log.info({}, "the server is back");
        away = false;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        if (this.#outdated) continue;
        if (!away) log.warn(errorFields(error), "poll failed; trying again until the server answers");
        away = true;
        await sleep(clock, backoff.nextMs(), this.#stopping.signal).catch(() => {});
      }
    }
  }

  async #once(): Promise<void> {
    const { agent, session, clock, waitMs = 30_000 } = this.#options;
    this.#outdated = false;
    this.#poll = new AbortController();
    const request = await agent.nextPoll(waitMs);
    const limit = clock.after(request.waitMs + POLL_GRACE_MS, () => this.#poll.abort());
    try {
      const reply = await session.poll(request, AbortSignal.any([this.#poll.signal, this.#stopping.signal]));
      if (!this.#stopping.signal.aborted) agent.take(reply);
    } finally {
      limit.cancel();
    }
  }
}
