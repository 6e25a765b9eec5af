import { createServer, type RequestListener } from "node:http";
import type { InjectOptions } from "fastify";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type LightMyRequestResponse,
} from "fastify";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Loggers } from "../log/logger.ts";
import { DEFAULT_BODY_LIMIT, type Face, facePrefix } from "./face.ts";
import { FaceRuntime } from "./face-runtime.ts";
import { tooLarge, unauthenticated } from "./http-errors.ts";
import { Pipeline, type PipelineSettings } from "./pipeline.ts";
import type { AgentAuthenticator, Authenticator, PolicyCheck } from "./request.ts";
import { Responder } from "./responder.ts";
import type { Method, Route } from "./route.ts";
import { pathOf, ServerRequest } from "./server-request.ts";
import { Urls } from "./urls.ts";
import { Validator } from "./validation.ts";

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
  readonly publicUrl?: string;
  readonly trustForwarded?: boolean;
}

export interface HttpServer {
  readonly fastify: FastifyInstance;
  /** Every route with what guards it, for tests and documents. */
  readonly routeTable: readonly RouteRow[];
  /** Resolves to the address in use: `http://127.0.0.1:5000`. */
  listen(address: { host: string; port: number }): Promise<string>;
  inject(options: InjectOptions): Promise<LightMyRequestResponse>;
  /** Stops accepting, finishes what is in flight, and cuts what is left after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

/** One row per route, and one per action with its key. */
export interface RouteRow {
  readonly face: string;
  readonly name: string;
  readonly method: Method;
  /** As clients see it, without the optional project id: `/compute/v2.1/servers/:id`. */
  readonly path: string;
  readonly action: string | null;
  readonly auth: "token" | "none" | "agent";
  readonly policy: readonly string[];
  readonly minVersion: string | null;
  readonly maxVersion: string | null;
}

/** Builds the server of all faces. Nothing listens until `listen`; `inject` works at once. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const log = options.loggers.get("http");
  const access = options.loggers.get("http.access");
  const closing = new AbortController();
  const baseUrl = {
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
    trustForwarded: options.trustForwarded ?? false,
    tls: false,
  };
  const responder = new Responder({
    clock: options.clock,
    log,
    baseUrl,
    identityPath: options.identityPath,
    observe: (request, status, tookMs) => {
      const line = {
        requestId: request.requestId,
        method: request.method,
        route: request.endpoint?.name,
        status,
        tookMs,
      };
      if (request.method === "GET" || request.method === "HEAD") access.debug(line, "request");
      else access.info({ ...line, path: request.path, projectId: request.credentials?.projectId }, "request");
    },
  });
  const settings: PipelineSettings = {
    policy: options.policy,
    log,
    closing: closing.signal,
    baseUrl,
    clock: options.clock,
    authenticator: options.authenticator,
    agentAuthenticator: options.agentAuthenticator,
    validator: new Validator(),
    responder,
  };
  const fastify = Fastify({
    logger: false,
    genReqId: () => `req-${options.ids.uuid()}`,
    requestIdHeader: false,
    exposeHeadRoutes: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
    serverFactory: (handler) => createServer({ keepAliveTimeout: 75_000 }, handler as RequestListener),
  });
  fastify.removeAllContentTypeParsers();
  const runtimes = options.faces.map(({ face }) => new FaceRuntime(face));
  options.faces.forEach(({ routes }, index) => {
    const runtime = runtimes[index];
    if (runtime) mount(fastify, runtime, routes, settings);
  });
  const fallback = new Fallback(runtimes, settings);
  fastify.setNotFoundHandler((request, reply) => fallback.serve(request, reply));
  return {
    fastify,
    routeTable: options.faces.flatMap(({ face, routes }) => routes.flatMap((each) => rowsOf(face, each))),
    listen: async ({ host, port }) => fastify.listen({ host, port }),
    inject: (request) => fastify.inject(request),
    async close(graceMs = 10_000) {
      closing.abort();
      const cut = options.clock.after(graceMs, () => fastify.server.closeAllConnections());
      await fastify.close();
      cut.cancel();
    },
  };
}

/** Registers the routes of a face in scopes of their own: one that reads bodies, one that leaves them to handlers. */
function mount(fastify: FastifyInstance, runtime: FaceRuntime, routes: readonly Route[], settings: PipelineSettings) {
  const { face } = runtime;
  for (const rawBody of [false, true]) {
    const groups = groupRoutes(
      face,
      routes.filter((each) => each.rawBody === rawBody),
    );
    if (groups.size === 0) continue;
    void fastify.register(async (scope) => {
      if (rawBody) scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
      else scope.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
      scope.setErrorHandler((error, request, reply) => {
        const view = new ServerRequest(face, request, settings);
        settings.responder.sendError(runtime, view, reply, translate(error), settings.clock.now());
      });
      for (const [key, group] of groups) {
        const [method = "", path = ""] = key.split(" ");
        const pipeline = new Pipeline(runtime, group, settings);
        const handler = (request: FastifyRequest, reply: FastifyReply) => pipeline.serve(request, reply);
        scope.route({ method, url: path, handler, bodyLimit: face.bodyLimit ?? DEFAULT_BODY_LIMIT });
      }
    });
  }
}

/** Routes by `METHOD path`, GET also under HEAD unless somebody declares that. */
function groupRoutes(face: Face, routes: readonly Route[]): Map<string, [Route, ...Route[]]> {
  const groups = new Map<string, [Route, ...Route[]]>();
  const add = (method: string, each: Route) => {
    for (const path of pathsOf(face, each)) {
      const key = `${method} ${path}`;
      const group = groups.get(key);
      if (group) group.push(each);
      else groups.set(key, [each]);
    }
  };
  for (const each of routes) add(each.method, each);
  const declared = new Set(groups.keys());
  for (const each of routes) {
    if (each.method !== "GET" || !each.head) continue;
    if (pathsOf(face, each).some((path) => declared.has(`HEAD ${path}`))) continue;
    add("HEAD", each);
  }
  return groups;
}

const PROJECT = "/:project_id(^[0-9a-f-]+$)";

function pathsOf(face: Face, each: Route): string[] {
  if (each.at === "root") return [face.root + each.path || "/"];
  const prefix = facePrefix(face);
  const plain = prefix + each.path || "/";
  const withProject = prefix + PROJECT + each.path;
  switch (face.project.mode) {
    case "none":
      return [plain];
    case "optional":
      return each.auth === "token" ? [plain, withProject] : [plain];
    case "mandatory":
      return [each.auth === "token" ? withProject : plain];
  }
}

function rowsOf(face: Face, each: Route): RouteRow[] {
  const path = each.at === "root" ? face.root + each.path : facePrefix(face) + each.path;
  const endpoints = each.actions ? [...each.actions.values()].flat() : [each];
  return endpoints.map((endpoint) => ({
    face: face.name,
    name: endpoint.name,
    method: each.method,
    path: path || "/",
    action: "key" in endpoint ? String(endpoint.key) : null,
    auth: each.auth,
    policy: endpoint.authenticatedIsEnough ? ["authenticated", ...endpoint.rules] : [...endpoint.rules],
    minVersion: endpoint.minVersion ?? null,
    maxVersion: endpoint.maxVersion ?? null,
  }));
}

/** Fastify's own errors (body too large, broken content type) as ours. */
function translate(error: unknown): unknown {
  if (!(error instanceof Error) || !("statusCode" in error)) return error;
  if (error.statusCode === 413) return tooLarge();
  const status = Number(error.statusCode);
  if (status < 400 || status >= 500) return error;
  return new CloudError("invalid", "http.request", "The request could not be understood.", {
    cause: error,
    httpStatus: status,
  });
}

/** Answers paths that no route matches, as the face under whose root they lie. */
class Fallback {
  readonly #runtimes: readonly FaceRuntime[];
  readonly #settings: PipelineSettings;

  constructor(runtimes: readonly FaceRuntime[], settings: PipelineSettings) {
    this.#runtimes = runtimes.toSorted((a, b) => b.face.root.length - a.face.root.length);
    this.#settings = settings;
  }

  async serve(raw: FastifyRequest, reply: FastifyReply): Promise<void> {
    const startedAt = this.#settings.clock.now();
    const path = pathOf(raw.raw.url ?? "/");
    const runtime = this.#runtimes.find(({ face }) => under(path, face.root));
    if (!runtime) {
      reply.code(404).type("application/json").send('{"error":{"code":"http.unrouted","message":"Not found."}}');
      return;
    }
    const { face } = runtime;
    const request = new ServerRequest(face, raw, this.#settings);
    const { responder } = this.#settings;
    try {
      if (face.errors.unknownVersion && !under(path, facePrefix(face))) {
        const urls = new Urls(face, null, request.headers, this.#settings.baseUrl);
        responder.send(runtime, request, reply, face.errors.unknownVersion({ path, urls }), startedAt);
        return;
      }
      if (face.errors.unroutedNeedsToken) {
        if (request.token === "") throw unauthenticated();
        await this.#settings.authenticator.authenticate(request.token);
      }
      throw new CloudError("notFound", "http.unrouted", "The resource could not be found.");
    } catch (error) {
      responder.sendError(runtime, request, reply, error, startedAt);
    }
  }
}

function under(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || prefix === "" || path[prefix.length] === "/");
}
