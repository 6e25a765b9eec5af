import { type Duplex, duplexPair } from "node:stream";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { AgentEvent, Command, CommandProgress, CommandResult, PollRequest } from "../../protocol/envelope.ts";
import type { InProcessServer } from "../in-process-link.ts";

interface HostState {
  commands: Map<string, Command>;
  revoked: { key: string; subject: string; epoch: number }[];
  polls: PollRequest[];
  heartbeats: number;
}

/** The server's half of the agent protocol in memory: delivers commands until their results are stored, as the real one does. */
export class SmallServer implements InProcessServer {
  readonly results = new Map<string, CommandResult>();
  readonly resultCounts = new Map<string, number>();
  readonly progress: CommandProgress[] = [];
  readonly events: AgentEvent[] = [];
  readonly images = new Map<string, Uint8Array[]>();
  /** The server's end of each console session. */
  readonly consoles = new Map<string, Duplex>();
  /** While true, nothing gets through. */
  away = false;
  readonly #hosts = new Map<string, HostState>();
  #wake: (host: string) => void = () => {};

  host(name: string): HostState {
    let state = this.#hosts.get(name);
    if (!state) {
      state = { commands: new Map(), revoked: [], polls: [], heartbeats: 0 };
      this.#hosts.set(name, state);
    }
    return state;
  }

  send(host: string, command: Command): void {
    this.host(host).commands.set(command.key, command);
    this.results.delete(command.key);
    this.#wake(host);
  }

  revoke(host: string, key: string, epoch: number): void {
    const command = this.host(host).commands.get(key);
    if (!command) return;
    this.host(host).commands.delete(key);
    this.host(host).revoked.push({ key, subject: command.subject, epoch });
    this.#wake(host);
  }

  async join({ host, token }: { host: string; token: string }) {
    this.#requirePresence();
    if (token !== "good") throw new CloudError("unauthenticated", "fleet.bad_join_token", "No.");
    this.host(host);
    return { hostId: host, credential: `secret of ${host}` };
  }

  async poll(host: string, request: PollRequest) {
    this.#requirePresence();
    const state = this.host(host);
    state.polls.push(request);
    const known = new Set(request.known);
    return {
      commands: [...state.commands.values()].filter(({ key }) => !known.has(key)),
      revoked: state.revoked.filter(({ key }) => known.has(key)),
      forget: request.known.filter((key) => !state.commands.has(key) && !state.revoked.some((r) => r.key === key)),
      logLevels: {},
    };
  }

  async report(host: string, request: { results: CommandResult[]; progress: CommandProgress[]; events: AgentEvent[] }) {
    this.#requirePresence();
    for (const result of request.results) {
      this.resultCounts.set(result.key, (this.resultCounts.get(result.key) ?? 0) + 1);
      if (this.host(host).commands.delete(result.key)) this.results.set(result.key, result);
    }
    this.progress.push(...request.progress);
    this.events.push(...request.events);
  }

  async heartbeat(hosts: readonly string[]) {
    this.#requirePresence();
    for (const host of hosts) this.host(host).heartbeats += 1;
  }

  subscribe(wake: (host: string) => void) {
    this.#wake = wake;
    return () => {
      this.#wake = () => {};
    };
  }

  async fetchImage(_host: string, imageId: string) {
    this.#requirePresence();
    const chunks = this.images.get(imageId);
    if (!chunks) throw new CloudError("notFound", "image.not_found", "No such image.");
    return (async function* () {
      yield* chunks;
    })();
  }

  async openConsole(_host: string, sessionId: string) {
    const [here, there] = duplexPair();
    this.consoles.set(sessionId, here);
    return there;
  }

  #requirePresence(): void {
    if (this.away) throw new CloudError("unavailable", "t.away", "Away.");
  }
}
