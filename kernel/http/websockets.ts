import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { CloudError } from "../errors/cloud-error.ts";
import type { IdSource } from "../ids/ids.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { authenticateAgent } from "./authenticate.ts";
import { DEFAULT_STATUS } from "./face.ts";
import { notFound } from "./http-errors.ts";
import type { Metrics } from "./metrics.ts";
import { STATUS_CODES } from "./node-http.ts";
import type { AgentAuthenticator, AgentIdentity } from "./request.ts";
import { pathOf } from "./server-request.ts";

/** Somebody wants to open a WebSocket. */
export interface SocketRequest {
  param(name: string): string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly requestId: string;
  /** Set on routes with `auth: "agent"`. */
  readonly agent: AgentIdentity | null;
}

export interface SocketRoute {
  readonly name: string;
  /** Full path: `/console/:id`. */
  readonly path: string;
  /** `none`: `accept` checks on its own, as browsers cannot send a token header. */
  readonly auth: "none" | "agent";
  /** Subprotocols spoken, the preferred first; the client's choice is not bound to them. */
  readonly protocols?: readonly string[];
  /** Decides before the handshake: throws CloudError to refuse, else returns what to do with the open socket. */
  accept(request: SocketRequest): Promise<(socket: WebSocket) => void> | ((socket: WebSocket) => void);
}

interface WebSocketSettings {
  readonly ids: IdSource;
  readonly log: Logger;
  readonly closing: AbortSignal;
  readonly agentAuthenticator: AgentAuthenticator | undefined;
  readonly metrics: Metrics;
}

const MAX_MESSAGE_BYTES = 1 << 20;
const GOING_AWAY = 1001;

/** Routes upgrade requests by path, and ends all sockets when the server stops. */
export class WebSockets {
  readonly #routes: readonly SocketRoute[];
  readonly #settings: WebSocketSettings;
  readonly #servers: ReadonlyMap<SocketRoute, WebSocketServer>;

  constructor(routes: readonly SocketRoute[], settings: WebSocketSettings) {
    this.#routes = routes;
    this.#settings = settings;
    this.#servers = new Map(routes.map((route) => [route, serverFor(route)]));
    settings.metrics.gauge("pileus_websockets_open", "Open WebSockets.", () =>
      [...this.#servers].map(([route, server]) => ({ labels: { route: route.name }, value: server.clients.size })),
    );
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const requestId = `req-${this.#settings.ids.uuid()}`;
    const gone = () => socket.destroy();
    socket.on("error", gone);
    try {
      const { route, params } = this.#find(pathOf(request.url ?? "/"));
      const agent =
        route.auth === "agent"
          ? await authenticateAgent(this.#settings.agentAuthenticator, request.headers.authorization)
          : null;
      const serve = await route.accept({
        param: (name) => params[name] ?? "",
        query: new URL(request.url ?? "/", "http://localhost").searchParams,
        headers: request.headers,
        requestId,
        agent,
      });
      if (this.#settings.closing.aborted)
        throw new CloudError("unavailable", "http.closing", "The server is stopping.");
      socket.off("error", gone);
      this.#servers.get(route)?.handleUpgrade(request, socket, head, (open) => {
        open.on("error", (error) => this.#settings.log.debug({ requestId, ...errorFields(error) }, "socket failed"));
        serve(open);
      });
    } catch (error) {
      this.#refuse(socket, error, requestId);
    }
  }

  /** Asks all peers to leave. */
  closeAll(): void {
    for (const server of this.#servers.values()) {
      for (const open of server.clients) open.close(GOING_AWAY, "server is stopping");
    }
  }

  /** Drops those that are still there. */
  cutAll(): void {
    for (const server of this.#servers.values()) for (const open of server.clients) open.terminate();
  }

  #find(path: string): { route: SocketRoute; params: Record<string, string> } {
    for (const route of this.#routes) {
      const params = matchPath(route.path, path);
      if (params) return { route, params };
    }
    throw notFound();
  }

  #refuse(socket: Duplex, error: unknown, requestId: string): void {
    const status = error instanceof CloudError ? (error.httpStatus ?? DEFAULT_STATUS[error.kind]) : 500;
    if (status >= 500) this.#settings.log.error({ requestId, ...errorFields(error) }, "upgrade failed");
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\nConnection: close\r\nContent-Length: 0\r\nx-openstack-request-id: ${requestId}\r\n\r\n`,
    );
  }
}

function serverFor(route: SocketRoute): WebSocketServer {
  const { protocols } = route;
  return new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    ...(protocols ? { handleProtocols: (offered) => protocols.find((each) => offered.has(each)) ?? false } : {}),
  });
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.replace(/\/+$/, "").split("/");
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const value = given[i] ?? "";
    if (!part.startsWith(":")) {
      if (part !== value) return undefined;
      continue;
    }
    const decoded = decode(value);
    if (decoded === undefined) return undefined;
    params[part.slice(1)] = decoded;
  }
  return params;
}

function decode(text: string): string | undefined {
  try {
    const decoded = decodeURIComponent(text);
    return decoded === "" || decoded.includes("\0") ? undefined : decoded;
  } catch {
    return undefined;
  }
}
