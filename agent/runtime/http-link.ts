import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { createWebSocketStream, WebSocket } from "ws";
import { CloudError, type ErrorKind } from "../../kernel/errors/cloud-error.ts";
import type { JoinReply, PollReply } from "../protocol/envelope.ts";
import type { ServerLink, ServerSession } from "./server-link.ts";

export interface HttpLinkOptions {
  /** `http://127.0.0.1:5000` or `https://…`, without `/v1/agents`. */
  url: string;
  /** PEM certificates that the server's must chain to, in place of the system's. */
  ca?: string;
}

interface Exchange {
  method: "GET" | "POST";
  path: string;
  credential?: string;
  body?: unknown;
}

/** node:http(s) and not fetch: a CA per link, and no header timeout of its own in the way of a long poll. */
export function httpLink(options: HttpLinkOptions): ServerLink {
  const base = new URL(options.url);
  const tls = base.protocol === "https:";
  const tlsOptions = options.ca === undefined ? {} : { ca: options.ca };

  function connect() {
    const agent = tls ? new HttpsAgent({ keepAlive: true, ...tlsOptions }) : new HttpAgent({ keepAlive: true });
    const send = (exchange: Exchange, signal: AbortSignal): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const body = exchange.body === undefined ? undefined : Buffer.from(JSON.stringify(exchange.body));
        const headers: Record<string, string | number> = { accept: "application/json" };
        if (exchange.credential !== undefined) headers.authorization = `Bearer ${exchange.credential}`;
        if (body) {
          headers["content-type"] = "application/json";
          headers["content-length"] = body.length;
        }
        const start = tls ? httpsRequest : httpRequest;
        const request = start(new URL(exchange.path, base), { method: exchange.method, headers, agent, signal });
        request.on("response", resolve);
        request.on("error", (error) => reject(signal.aborted ? signal.reason : unreachableServer(error)));
        request.end(body);
      });
    return { agent, send };
  }

  async function call(send: Send, exchange: Exchange, signal: AbortSignal): Promise<unknown> {
    const response = await send(exchange, signal);
    const text = await readText(response).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : unreachableServer(error);
    });
    if (!isSuccess(response)) throw refusal(response.statusCode ?? 0, exchange.path);
    return text === "" ? {} : JSON.parse(text);
  }

  return {
    async join(request, signal) {
      const { agent, send } = connect();
      try {
        return (await call(send, { method: "POST", path: "/v1/agents/join", body: request }, signal)) as JoinReply;
      } finally {
        agent.destroy();
      }
    },
    open({ credential }): ServerSession {
      const { agent, send } = connect();
      return {
        poll: async (body, signal) =>
          (await call(send, { method: "POST", path: "/v1/agents/poll", credential, body }, signal)) as PollReply,
        report: async (body, signal) => {
          await call(send, { method: "POST", path: "/v1/agents/report", credential, body }, signal);
        },
        async fetchImage(imageId, signal) {
          const path = `/v1/agents/images/${encodeURIComponent(imageId)}`;
          const response = await send({ method: "GET", path, credential }, signal);
          if (isSuccess(response)) return response;
          response.resume();
          throw refusal(response.statusCode ?? 0, path);
        },
        openConsole(sessionId, signal) {
          const address = new URL(`/v1/agents/consoles/${encodeURIComponent(sessionId)}`, base);
          address.protocol = tls ? "wss:" : "ws:";
          const socket = new WebSocket(address, { headers: { authorization: `Bearer ${credential}` }, ...tlsOptions });
          return new Promise((resolve, reject) => {
            const onAbort = () => socket.terminate();
            signal.addEventListener("abort", onAbort, { once: true });
            socket.once("error", (error) => reject(signal.aborted ? signal.reason : unreachableServer(error)));
            socket.once("open", () => {
              signal.removeEventListener("abort", onAbort);
              resolve(createWebSocketStream(socket));
            });
          });
        },
        close: () => agent.destroy(),
      };
    },
  };
}

type Send = (exchange: Exchange, signal: AbortSignal) => Promise<IncomingMessage>;

const isSuccess = (response: IncomingMessage) => {
  const status = response.statusCode ?? 0;
  return status >= 200 && status < 300;
};

async function readText(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function unreachableServer(cause: unknown): CloudError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = /CERT|SIGNATURE|SSL|TLS/.test(code)
    ? "The server's certificate is not trusted: name the authority behind it with --ca-file."
    : "The server cannot be reached.";
  return new CloudError("unavailable", "agent.server_unreachable", why, { cause });
}

function refusal(status: number, path: string): CloudError {
  const kind: ErrorKind =
    status === 401 ? "unauthenticated" : status === 403 ? "forbidden" : status === 404 ? "notFound" : "unavailable";
  return new CloudError(kind, "agent.server_refused", `The server answered ${status}.`, { internal: path });
}
