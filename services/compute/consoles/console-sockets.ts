import type { Duplex } from "node:stream";
import { createWebSocketStream, type WebSocket } from "ws";
import { type Clock, seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { SocketRoute } from "../../../kernel/http/websockets.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { findServer } from "../store/servers.ts";
import type { ConsoleBroker } from "./broker.ts";
import { type ConsoleSessions, connectEnds } from "./sessions.ts";
import { serverOfToken } from "./tokens.ts";

/** Where clients connect; the token is in the query. */
export const SERIAL_PATH = "/console/serial";

export interface ConsoleSocketOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly broker: ConsoleBroker;
  readonly sessions: ConsoleSessions;
}

/** The two ends of serial consoles: `ws://…/console/serial?token=…` for clients, `/v1/agents/consoles/{id}` for agents. */
export function consoleSockets(options: ConsoleSocketOptions): SocketRoute[] {
  const { store, clock, broker, sessions } = options;
  return [
    {
      name: "console.serial",
      path: SERIAL_PATH,
      auth: "none",
      protocols: ["binary"],
      async accept(request) {
        const serverId = await serverOfToken(store.read, clock, request.query.get("token") ?? "");
        const host = (await findServer(store.read, serverId))?.host;
        if (!host) throw new CloudError("notFound", "compute.console_gone", "The server is not on any host.");
        const session = sessions.begin(host);
        try {
          await broker.open(host, serverId, session.id);
          const agent = await session.agent;
          return serveOrDrop(clock, agent);
        } catch (error) {
          sessions.end(session.id);
          throw error;
        }
      },
    },
    {
      name: "console.agent",
      path: "/v1/agents/consoles/:session",
      auth: "agent",
      accept(request) {
        const host = request.agent?.host ?? "";
        const session = request.param("session");
        if (!sessions.isAwaited(host, session)) {
          throw new CloudError("notFound", "compute.console_not_found", "Nobody waits for this console.");
        }
        return (socket) => {
          const end = createWebSocketStream(socket);
          try {
            sessions.join(host, session, end);
          } catch {
            // The client has left between the handshake and now.
            end.destroy();
          }
        };
      },
    },
  ];
}

const HANDSHAKE_MS = seconds(10);

/** Connects the client once its socket is open; a client that never finishes the handshake costs the agent's end. */
function serveOrDrop(clock: Clock, agent: Duplex): (socket: WebSocket) => void {
  const timer = clock.after(HANDSHAKE_MS, () => agent.destroy());
  return (socket) => {
    timer.cancel();
    connectEnds(createWebSocketStream(socket), agent);
  };
}
