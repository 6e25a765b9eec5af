import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { JoinReply } from "../protocol/envelope.ts";
import { Agent, type AgentOptions } from "../runtime/agent.ts";
import type { AgentService } from "../runtime/agent-service.ts";
import { MemoryJournal } from "../runtime/journal.ts";
import type { ServerLink, ServerSession } from "../runtime/server-link.ts";

export type SimulatedAgentOptions = Pick<AgentOptions, "checks" | "clock" | "random" | "log" | "setLogLevels"> & {
  bootId: string;
  /** Services of one boot of this host, over hardware that outlives it. */
  services(host: string, session: ServerSession): readonly AgentService[];
};

/** A host of the simulated fleet: identity and journal stay, agents come and go, the wire can be cut. */
export class SimulatedHost {
  readonly name: string;
  readonly session: ServerSession;
  /** The agent that runs now. */
  agent: Agent | undefined;
  partitioned = false;
  readonly #journal = new MemoryJournal();

  constructor(name: string, link: ServerLink, identity: JoinReply) {
    this.name = name;
    this.session = this.#cuttable(link.open(identity));
  }

  /** Takes part in polls and heartbeats. */
  get reachable(): boolean {
    return this.agent !== undefined && !this.partitioned;
  }

  boot(options: SimulatedAgentOptions): Agent {
    const { services, ...rest } = options;
    this.agent = new Agent({
      ...rest,
      session: this.session,
      services: services(this.name, this.session),
      journal: this.#journal,
      image: () => Promise.reject(new CloudError("invalid", "sim.no_images", "Simulated guests need no image file.")),
    });
    return this.agent;
  }

  async stop(): Promise<void> {
    const agent = this.agent;
    this.agent = undefined;
    await agent?.stop();
  }

  async kill(): Promise<void> {
    const agent = this.agent;
    this.agent = undefined;
    await agent?.kill();
  }

  #cuttable(session: ServerSession): ServerSession {
    const whenWhole = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        this.#requireWire();
        const result = await call(...args);
        this.#requireWire();
        return result;
      };
    };
    return {
      poll: whenWhole(session.poll),
      report: whenWhole(session.report),
      fetchImage: whenWhole(session.fetchImage),
      openConsole: whenWhole(session.openConsole),
      close: session.close,
    };
  }

  #requireWire(): void {
    if (!this.partitioned) return;
    throw new CloudError("unavailable", "agent.server_unreachable", "The server cannot be reached.");
  }
}
