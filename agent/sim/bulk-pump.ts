import type { Clock, Timer } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import { Backoff } from "../runtime/backoff.ts";
import type { InProcessServer } from "../runtime/in-process-link.ts";
import type { SimulatedHost } from "./simulated-host.ts";

export interface BulkPumpOptions {
  server: InProcessServer;
  hosts: ReadonlyMap<string, SimulatedHost>;
  clock: Clock;
  random: () => number;
  log: Logger;
  heartbeatMs: number;
}

const POLLS_AT_ONCE = 64;
/** Polled without a reason at each heartbeat, in turn: wake-ups may get lost, and answers wait to be forgotten. */
const ROUTINE_POLLS = 100;

/** Drives any number of in-process agents with one timer: polls only hosts that have been woken, beats for all of them at once. */
export class BulkPump {
  readonly #options: BulkPumpOptions;
  readonly #awake = new Set<string>();
  readonly #polling = new Set<string>();
  readonly #backoff: Backoff;
  readonly #unsubscribe: () => void;
  readonly #leaving = new AbortController();
  #heartbeat: Timer;
  #retry: Timer | undefined;
  #routine: Iterator<string> | undefined;

  constructor(options: BulkPumpOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
    this.#unsubscribe = options.server.subscribe((host) => this.wake(host));
    this.#heartbeat = this.#nextHeartbeat();
  }

  /** There may be something to fetch for this host. */
  wake(host: string): void {
    if (this.#leaving.signal.aborted || !this.#options.hosts.has(host)) return;
    this.#awake.add(host);
    this.#pump();
  }

  /** True while a poll is under way or could start now. */
  get busy(): boolean {
    if (this.#polling.size > 0) return true;
    if (this.#retry) return false;
    for (const name of this.#awake) if (this.#options.hosts.get(name)?.reachable) return true;
    return false;
  }

  close(): void {
    this.#leaving.abort();
    this.#unsubscribe();
    this.#heartbeat.cancel();
    this.#retry?.cancel();
    this.#awake.clear();
  }

  #pump(): void {
    if (this.#retry || this.#leaving.signal.aborted) return;
    for (const name of this.#awake) {
      if (this.#polling.size >= POLLS_AT_ONCE) return;
      const host = this.#options.hosts.get(name);
      if (!host?.reachable || this.#polling.has(name)) continue;
      this.#awake.delete(name);
      this.#polling.add(name);
      void this.#poll(host).finally(() => {
        this.#polling.delete(name);
        this.#pump();
      });
    }
  }

  async #poll(host: SimulatedHost): Promise<void> {
    const { agent } = host;
    if (!agent) return;
    try {
      const request = await agent.nextPoll(0);
      const reply = await host.session.poll(request, this.#leaving.signal);
      this.#backoff.reset();
      if (host.agent === agent) agent.take(reply);
    } catch (error) {
      if (this.#leaving.signal.aborted || host.agent !== agent) return;
      this.#options.log.debug({ host: host.name, ...errorFields(error) }, "poll failed; will repeat");
      this.#awake.add(host.name);
      if (host.partitioned) return;
      this.#retry ??= this.#options.clock.after(this.#backoff.nextMs(), () => {
        this.#retry = undefined;
        this.#pump();
      });
    }
  }

  #nextHeartbeat(): Timer {
    const { clock, heartbeatMs } = this.#options;
    return clock.after(heartbeatMs, () => {
      this.#heartbeat = this.#nextHeartbeat();
      void this.#beat();
    });
  }

  async #beat(): Promise<void> {
    const { hosts, server, log } = this.#options;
    const alive: string[] = [];
    for (const [name, host] of hosts) if (host.reachable) alive.push(name);
    this.#routinePolls();
    try {
      if (alive.length > 0) await server.heartbeat(alive);
    } catch (error) {
      log.debug(errorFields(error), "heartbeat failed");
    }
  }

  #routinePolls(): void {
    for (let i = Math.min(ROUTINE_POLLS, this.#options.hosts.size); i > 0; i -= 1) {
      this.#routine ??= this.#options.hosts.keys();
      const { value, done } = this.#routine.next();
      if (done) this.#routine = undefined;
      else this.wake(value);
    }
  }
}
