import type { Duplex } from "node:stream";
import type { JoinReply, JoinRequest, PollReply, PollRequest, ReportRequest } from "../protocol/envelope.ts";

/** A way to reach the server. Knows the transport, not who is calling. */
export interface ServerLink {
  /** Trades a one-time token for this host's own credential. Throws `unauthenticated` when the token is not good. */
  join(request: JoinRequest, signal: AbortSignal): Promise<JoinReply>;
  /** The server as one joined host sees it. */
  open(identity: JoinReply): ServerSession;
}

/** What one agent asks of the server. Every method rejects when the server cannot be reached or the signal is aborted. */
export interface ServerSession {
  /** Held open by the server for up to `waitMs` while it has nothing to say. */
  poll(request: PollRequest, signal: AbortSignal): Promise<PollReply>;
  /** Resolves when the server has stored the report. */
  report(request: ReportRequest, signal: AbortSignal): Promise<void>;
  fetchImage(imageId: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** Raw serial bytes in both directions; the server has announced `sessionId` in a command. */
  openConsole(sessionId: string, signal: AbortSignal): Promise<Duplex>;
  /** Releases kept connections. */
  close(): void;
}
