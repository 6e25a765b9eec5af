import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { AgentService } from "../runtime/agent-service.ts";
import { type InProcessServer, inProcessLink } from "../runtime/in-process-link.ts";
import { PollLoop } from "../runtime/poll-loop.ts";
import { SchemaChecks } from "../runtime/schema-checks.ts";
import type { ServerLink, ServerSession } from "../runtime/server-link.ts";
import { BulkPump } from "./bulk-pump.ts";
import { SimulatedHost } from "./simulated-host.ts";

export interface SimulatedFleetOptions {
  /** `inProcess`: one shared loop, heartbeats in bulk, thousands of hosts. `remote`: each host polls, as real ones do. */
  server: { inProcess: InProcessServer } | { remote: ServerLink };
  /** Services of one boot of a host; called anew for each boot, over hardware that outlives it. */
  services(host: string, session: ServerSession): readonly AgentService[];
  clock: Clock;
  ids: IdSource;
  /** Numbers in [0, 1), for jitter. */
  random: () => number;
  log: Logger;
  /** Of a host's agent; `log` with the host's name when absent. */
  logOf?(host: string): Logger;
  heartbeatMs?: number;
  setLogLevels?(host: string, levels: Record<string, string>): void;
}

/** How many hosts join at a time. */
const JOINING = 64;

/** Many simulated hosts in one process, each with the agent program that real hosts run. */
export class SimulatedFleet {
  readonly #options: SimulatedFleetOptions;
  readonly #checks = new SchemaChecks();
  readonly #hosts = new Map<string, SimulatedHost>();
  readonly #loops = new Map<string, PollLoop>();
  readonly #pump: BulkPump | undefined;

  constructor(options: SimulatedFleetOptions) {
    this.#options = options;
    if ("inProcess" in options.server) {
      const { clock, random, log, heartbeatMs = 10_000 } = options;
      this.#pump = new BulkPump({
        server: options.server.inProcess,
        hosts: this.#hosts,
        clock,
        random,
        log,
        heartbeatMs,
      });
    }
  }

  /** Joins these hosts with their tokens and starts their agents. */
  async add(hosts: readonly { name: string; token: string }[]): Promise<void> {
    for (let i = 0; i < hosts.length; i += JOINING) {
      await Promise.all(hosts.slice(i, i + JOINING).map(({ name, token }) => this.#join(name, token)));
    }
  }

  names(): string[] {
    return [...this.#hosts.keys()];
  }

  /** Stops the agent in good order; its guests go on. */
  async stop(name: string): Promise<void> {
    await this.#endLoop(name);
    await this.#host(name).stop();
  }

  /** What `kill -9` does to the agent: its memory is gone, journal and guests stay. Acts at once. */
  async kill(name: string): Promise<void> {
    const killed = this.#host(name).kill();
    await this.#endLoop(name);
    await killed;
  }

  /** Starts the agent of a host that was stopped or killed; kills one that runs. */
  async restart(name: string): Promise<void> {
    await this.kill(name);
    this.#boot(this.#host(name));
  }

  /** From now on the host and the server do not hear each other. */
  partition(name: string): void {
    this.#host(name).partitioned = true;
  }

  heal(name: string): void {
    this.#host(name).partitioned = false;
    this.#pump?.wake(name);
  }

  /** True when no agent has anything to say or to fetch now; what waits for time or for a release counts as quiet. */
  get quiet(): boolean {
    if (this.#pump?.busy) return false;
    for (const { agent } of this.#hosts.values()) if (agent?.reporting) return false;
    return true;
  }

  /** In process: resolves when the fleet has been quiet for a few turns of the event loop. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 3; turns += 1) {
      await setImmediate();
      if (!this.quiet) turns = -1;
    }
  }

  async close(): Promise<void> {
    this.#pump?.close();
    await Promise.all([...this.#hosts.keys()].map((name) => this.stop(name)));
    for (const host of this.#hosts.values()) host.session.close();
  }

  async #join(name: string, token: string): Promise<void> {
    const { server } = this.#options;
    const link = "inProcess" in server ? inProcessLink(server.inProcess, name) : server.remote;
    const identity = await link.join({ host: name, token }, new AbortController().signal);
    const host = new SimulatedHost(name, link, identity);
    this.#hosts.set(name, host);
    this.#boot(host);
  }

  #boot(host: SimulatedHost): void {
    const { clock, random, ids, services, setLogLevels } = this.#options;
    const log = this.#options.logOf?.(host.name) ?? this.#options.log.with({ host: host.name });
    const agent = host.boot({
      bootId: ids.uuid(),
      checks: this.#checks,
      clock,
      random,
      log,
      services,
      setLogLevels: (levels) => setLogLevels?.(host.name, levels),
    });
    if (this.#pump) {
      agent.onOutdatedPoll(() => this.#pump?.wake(host.name));
      this.#pump.wake(host.name);
      return;
    }
    const loop = new PollLoop({ agent, session: host.session, clock, random, log });
    this.#loops.set(host.name, loop);
    loop.start();
  }

  async #endLoop(name: string): Promise<void> {
    const loop = this.#loops.get(name);
    this.#loops.delete(name);
    await loop?.stop().catch((error: unknown) => this.#options.log.warn(errorFields(error), "a poll loop did not end"));
  }

  #host(name: string): SimulatedHost {
    const host = this.#hosts.get(name);
    if (host) return host;
    throw new CloudError("notFound", "sim.no_such_host", `The fleet has no host ${name}.`);
  }
}
