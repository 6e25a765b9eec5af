import type { Duplex } from "node:stream";
import type { JoinReply, JoinRequest, PollReply, PollRequest, ReportRequest } from "../protocol/envelope.ts";
import type { ServerLink, ServerSession } from "./server-link.ts";

/** What a server in the same process offers to simulated agents: the endpoints of the wire, minus the wire. */
export interface InProcessServer {
  join(request: JoinRequest): Promise<JoinReply>;
  /** Must answer at once when `waitMs` is 0. */
  poll(hostId: string, request: PollRequest, signal: AbortSignal): Promise<PollReply>;
  report(hostId: string, request: ReportRequest): Promise<void>;
  /** All of these hosts are alive. One call for thousands of hosts, so that it can be one write. */
  heartbeat(hostIds: readonly string[]): Promise<void>;
  /** Calls `wake` with a host id whenever a poll of that host would bring something new. Returns the way to end it. */
  subscribe(wake: (hostId: string) => void): () => void;
  fetchImage(hostId: string, imageId: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  openConsole(hostId: string, sessionId: string, signal: AbortSignal): Promise<Duplex>;
}

export function inProcessLink(server: InProcessServer): ServerLink {
  return {
    join: (request) => server.join(request),
    open: ({ hostId }): ServerSession => ({
      poll: (request, signal) => server.poll(hostId, request, signal),
      report: (request) => server.report(hostId, request),
      fetchImage: (imageId, signal) => server.fetchImage(hostId, imageId, signal),
      openConsole: (sessionId, signal) => server.openConsole(hostId, sessionId, signal),
      close: () => {},
    }),
  };
}
