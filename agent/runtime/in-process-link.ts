import type { Duplex } from "node:stream";
import type { JoinReply, JoinRequest, PollReply, PollRequest, ReportRequest } from "../protocol/envelope.ts";
import type { ServerLink, ServerSession } from "./server-link.ts";

/** What a server in the same process offers to simulated agents: the endpoints of the wire, minus the wire. Hosts go by name. */
export interface InProcessServer {
  join(request: JoinRequest): Promise<JoinReply>;
  /** Must answer at once when `waitMs` is 0. */
  poll(host: string, request: PollRequest, signal: AbortSignal): Promise<PollReply>;
  report(host: string, request: ReportRequest): Promise<void>;
  /** All of these hosts are alive. One call for thousands of hosts, so that it can be one write. */
  heartbeat(hosts: readonly string[]): Promise<void>;
  /** Calls `wake` whenever a poll of `host` would bring commands or revocations. Returns the way to end it. */
  subscribe(wake: (host: string) => void): () => void;
  fetchImage(host: string, imageId: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  openConsole(host: string, sessionId: string, signal: AbortSignal): Promise<Duplex>;
}

/** The link of one host to a server in the same process. */
export function inProcessLink(server: InProcessServer, host: string): ServerLink {
  return {
    join: (request) => server.join(request),
    open: (): ServerSession => ({
      poll: (request, signal) => server.poll(host, request, signal),
      report: (request) => server.report(host, request),
      fetchImage: (imageId, signal) => server.fetchImage(host, imageId, signal),
      openConsole: (sessionId, signal) => server.openConsole(host, sessionId, signal),
      close: () => {},
    }),
  };
}
