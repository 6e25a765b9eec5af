import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import { inRange } from "./api-version.ts";
import { authenticateAgent, authenticateToken } from "./authenticate.ts";
import { readJson } from "./body.ts";
import type { CorsSettings } from "./cors.ts";
import type { FaceRuntime } from "./face-runtime.ts";
import { badRequest, malformedProject, notFound, requestError, tooLarge } from "./http-errors.ts";
import { QueryReader } from "./query.ts";
import type { AgentAuthenticator, Authenticator } from "./request.ts";
import type { Responder } from "./responder.ts";
import type { ApiResponse } from "./response.ts";
import { type Action, type Endpoint, type Route, SchemasByVersion } from "./route.ts";
import { looseBoolean } from "./schemas.ts";
import { type RequestSettings, ServerRequest } from "./server-request.ts";
import type { Validator } from "./validation.ts";

export interface PipelineSettings extends RequestSettings {
  readonly clock: Clock;
  readonly authenticator: Authenticator;
  readonly agentAuthenticator?: AgentAuthenticator | undefined;
  readonly validator: Validator;
  /** Removes what schemas do not know, for faces that want that. */
  readonly lenientValidator: Validator;
  readonly responder: Responder;
  readonly cors: CorsSettings;
}

/**
 * Serves one method and path. Several routes may share them when their version ranges do not meet. The order of the
 * checks is OpenStack's and decides which error a client sees.
 */
export class Pipeline {
  readonly #runtime: FaceRuntime;
  readonly #routes: readonly Route[];
  readonly #first: Route;
  readonly #settings: PipelineSettings;
  readonly #bodyValidator: Validator;
  readonly #queryReaders = new Map<TSchema, QueryReader>();

  constructor(runtime: FaceRuntime, routes: readonly [Route, ...Route[]], settings: PipelineSettings) {
    this.#runtime = runtime;
    this.#routes = routes;
    this.#first = routes[0];
    this.#settings = settings;
    this.#bodyValidator = runtime.face.unknownBodyKeys === "remove" ? settings.lenientValidator : settings.validator;
  }

  async serve(raw: FastifyRequest, reply: FastifyReply): Promise<void> {
    const startedAt = this.#settings.clock.now();
    const request = new ServerRequest(this.#runtime.face, raw, reply.raw, this.#settings);
    request.endpoint = this.#first;
    const { responder } = this.#settings;
    try {
      await this.#authenticate(request);
      const result = await this.#run(request, raw);
      responder.send(this.#runtime, request, reply, result, startedAt);
    } catch (error) {
      responder.sendError(this.#runtime, request, reply, error, startedAt);
    }
  }

  /** A request whose body Fastify would not read: too large, broken off, or of a content type that is no media type. */
  async serveUnread(raw: FastifyRequest, reply: FastifyReply, error: FastifyError): Promise<void> {
    if (error.statusCode === 415) return this.serve(raw, reply);
    const request = new ServerRequest(this.#runtime.face, raw, reply.raw, this.#settings);
    request.endpoint = this.#first;
    const status = error.statusCode ?? 500;
    const translated = status === 413 ? tooLarge() : status < 500 ? requestError(status, error) : error;
    this.#settings.responder.sendError(this.#runtime, request, reply, translated, this.#settings.clock.now());
  }

  async #authenticate(request: ServerRequest): Promise<void> {
    switch (this.#first.auth) {
      case "none":
        return;
      case "token":
        request.credentials = await authenticateToken(this.#settings.authenticator, request.token, request);
        return;
      case "agent":
        request.agentIdentity = await authenticateAgent(
          this.#settings.agentAuthenticator,
          request.headers.authorization,
        );
    }
  }

  async #run(request: ServerRequest, raw: FastifyRequest): Promise<ApiResponse> {
    const { face, negotiator } = this.#runtime;
    if (raw.raw.url?.includes("%00")) throw badRequest("http.url", "The URL holds a NUL character.");
    const versioned = this.#first.at === "version";
    if (versioned) request.version = negotiator.negotiate(request.headers);
    if (!this.#first.rawBody && hasBody(request.method)) {
      request.body = readJson(face.contentType, request.headers["content-type"], raw.body);
    }
    const candidates = this.#first.actions ? this.#actions(this.#first.actions, request) : this.#routes;
    this.#checkProject(request);
    const endpoint = candidates.find((each) => inRange(each.range, request.version));
    if (!endpoint) throw notFound();
    request.endpoint = endpoint;
    if (endpoint.optIn && !optedIn(request)) throw notFound();
    this.#readQuery(endpoint, request);
    const schema = schemaFor(endpoint.body, request);
    if (schema) {
      if (request.body === undefined) throw badRequest("http.noBody", "The request needs a JSON body.");
      this.#bodyValidator.validate(schema, request.body, "key" in endpoint ? String(endpoint.key) : "");
    }
    const result = (await endpoint.handler(request as never)) ?? {};
    const status = result.status ?? endpoint.success;
    if (status < 300 && this.#first.auth === "token" && !request.asked && !endpoint.authenticatedIsEnough) {
      throw new CloudError("internal", "http.unguarded", "An unexpected error occurred.", {
        internal: `${endpoint.name} answered ${status} without asking the policy`,
      });
    }
    return result;
  }

  /** Exactly one key, and a known one; leaves the value under it as the body. */
  #actions(actions: ReadonlyMap<string, readonly Action[]>, request: ServerRequest): readonly Endpoint[] {
    const { body } = request;
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      throw badRequest("http.action", "The body must be a JSON object with one key, the action.");
    }
    const [key, ...others] = Object.keys(body);
    if (key === undefined || others.length > 0) {
      throw badRequest("http.action", "The body must have exactly one key, the action.");
    }
    const found = actions.get(key);
    if (!found) throw badRequest("http.action", `This cloud does not offer the action ${key.slice(0, 100)}.`);
    request.body = (body as Record<string, unknown>)[key];
    return found;
  }

  #checkProject(request: ServerRequest): void {
    const inPath = request.pathProjectId;
    const rule = this.#runtime.face.project;
    if (rule.mode === "none" || inPath === null || this.#first.auth !== "token") return;
    if (inPath !== request.credentials?.projectId) throw malformedProject(rule.mismatchStatus ?? 400);
  }

  #readQuery(endpoint: Endpoint, request: ServerRequest): void {
    const schema = schemaFor(endpoint.query, request);
    if (!schema) return;
    let reader = this.#queryReaders.get(schema);
    if (!reader) {
      reader = new QueryReader(schema);
      this.#queryReaders.set(schema, reader);
    }
    const query = reader.read(request.rawQuery, request.version.number >= endpoint.strictQueryFrom);
    this.#settings.validator.validate(schema, query);
    request.query = query as ServerRequest["query"];
  }
}

function hasBody(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

function optedIn(request: ServerRequest): boolean {
  const name = request.face.optInHeader;
  const value = name === undefined ? undefined : request.headers[name];
  return typeof value === "string" && looseBoolean(value) === true;
}

function schemaFor(schema: TSchema | SchemasByVersion<TSchema> | undefined, request: ServerRequest) {
  if (!(schema instanceof SchemasByVersion)) return schema;
  return schema.steps.find((step) => step.since <= request.version.number)?.schema;
}
