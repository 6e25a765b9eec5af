import type { RequestListener } from "node:http";
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from "fastify";
import type { Clock } from "../clock/clock.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Loggers } from "../log/logger.ts";
import type { CorsSettings } from "./cors.ts";
import type { Face } from "./face.ts";
import { FaceRuntime } from "./face-runtime.ts";
import { Fallback } from "./fallback.ts";
import { type HealthCheck, kernelFace, kernelRoutes } from "./kernel-face.ts";
import { Metrics } from "./metrics.ts";
import { leaveBodies, mount } from "./mount.ts";
import { createServer, createTlsServer } from "./node-http.ts";
import { Observer } from "./observer.ts";
import type { PipelineSettings } from "./pipeline.ts";
import type { AgentAuthenticator, Authenticator, PolicyCheck } from "./request.ts";
import { Responder } from "./responder.ts";
import type { Route } from "./route.ts";
import { type RouteRow, routeRows } from "./route-table.ts";
import { Validator } from "./validation.ts";
import { type SocketRoute, WebSockets } from "./websockets.ts";

export interface ServedFace {
  readonly face: Face;
  readonly routes: readonly Route[];
}

export interface HttpServerOptions {
  readonly faces: readonly ServedFace[];
  readonly loggers: Loggers;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly policy: PolicyCheck;
  readonly authenticator: Authenticator;
  readonly agentAuthenticator?: AgentAuthenticator;
  /** Path of the identity service's versioned root: `/identity/v3`. */
  readonly identityPath: string;
  /** Fixed address for links (`https://cloud.example`), instead of the request's host. */
  readonly publicUrl?: string;
  /** Believe `X-Forwarded-*`: only behind a proxy that sets them. */
  readonly trustForwarded?: boolean;
  /** PEM texts. Absent: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly cors?: CorsSettings;
  readonly sockets?: readonly SocketRoute[];
  readonly healthChecks?: readonly HealthCheck[];
  /** Shared with other parts that register their own; a new one when absent. */
  readonly metrics?: Metrics;
}

export interface HttpServer {
  readonly fastify: FastifyInstance;
  /** Everything that is served, for tests and documents; the kernel's own face is among it. */
  readonly faces: readonly ServedFace[];
  /** Every route with what guards it. */
  readonly routeTable: readonly RouteRow[];
  readonly metrics: Metrics;
  /** Resolves to the address in use: `http://127.0.0.1:5000`. */
  listen(address: { host: string; port: number }): Promise<string>;
  /** A request without a socket. */
  inject(options: InjectOptions | string): Promise<LightMyRequestResponse>;
  /** Stops accepting, finishes what is in flight, and cuts what is left after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

const KEEP_ALIVE_MS = 75_000;
/** For sending a whole request: image uploads take their time. */
const REQUEST_TIMEOUT_MS = 3_600_000;
const DEFAULT_GRACE_MS = 10_000;

/** Builds the server of all faces, with `/healthz` and `/metrics`. Nothing listens until `listen`; `inject` works at once. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const metrics = options.metrics ?? new Metrics();
  const closing = new AbortController();
  const settings = pipelineSettings(options, metrics, closing.signal);
  const faces = [...options.faces, { face: kernelFace, routes: kernelRoutes(metrics, options.healthChecks ?? []) }];
  const mounted = faces.map(({ face, routes }) => ({ runtime: new FaceRuntime(face), routes }));
  const fallback = new Fallback(
    mounted.map(({ runtime }) => runtime),
    settings,
  );
  const fastify: FastifyInstance = Fastify({
    logger: false,
    genReqId: () => `req-${options.ids.uuid()}`,
    requestIdHeader: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => fallback.unreadable(request, reply, error),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
    serverFactory: (handler) => listener(options.tls, handler as RequestListener),
  });
  leaveBodies(fastify);
  for (const { runtime, routes } of mounted) mount(fastify, runtime, routes, settings);
  fastify.setNotFoundHandler((request, reply) => fallback.serve(request, reply));
  fastify.setErrorHandler((_unreadBody, request, reply) => fallback.serve(request, reply));
  const sockets = new WebSockets(options.sockets ?? [], {
    ids: options.ids,
    log: settings.log,
    closing: closing.signal,
    agentAuthenticator: options.agentAuthenticator,
    metrics,
  });
  fastify.server.on("upgrade", (request, socket, head) => void sockets.upgrade(request, socket, head));
  return {
    fastify,
    metrics,
    faces,
    routeTable: faces.flatMap(({ face, routes }) => routes.flatMap((route) => routeRows(face, route))),
    async listen(address) {
      const inUse = await fastify.listen(address);
      return options.tls ? inUse.replace("http:", "https:") : inUse;
    },
    inject: (request) => fastify.inject(request),
    async close(graceMs = DEFAULT_GRACE_MS) {
      closing.abort();
      sockets.closeAll();
      const cut = options.clock.after(graceMs, () => {
        sockets.cutAll();
        fastify.server.closeAllConnections();
      });
      await fastify.close();
      cut.cancel();
    },
  };
}

function pipelineSettings(options: HttpServerOptions, metrics: Metrics, closing: AbortSignal): PipelineSettings {
  const { clock } = options;
  const log = options.loggers.get("http");
  const observer = new Observer(metrics, options.loggers.get("http.access"));
  const cors = options.cors ?? { origins: [] };
  const baseUrl = {
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
    trustForwarded: options.trustForwarded ?? false,
    tls: options.tls !== undefined,
  };
  return {
    policy: options.policy,
    log,
    closing,
    baseUrl,
    clock,
    cors,
    authenticator: options.authenticator,
    agentAuthenticator: options.agentAuthenticator,
    validator: new Validator(),
    lenientValidator: new Validator({ removeUnknown: true }),
    responder: new Responder({ clock, log, baseUrl, cors, closing, observer, identityPath: options.identityPath }),
  };
}

function listener(tls: HttpServerOptions["tls"], handler: RequestListener) {
  const settings = { keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_TIMEOUT_MS };
  return tls ? createTlsServer({ ...settings, ...tls }, handler) : createServer(settings, handler);
}
