import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { allowOrigin, type CorsSettings } from "./cors.ts";
import { errorEnvelope, frameworkEnvelope } from "./envelopes.ts";
import type { ErrorRenderer } from "./face.ts";
import type { FaceRuntime } from "./face-runtime.ts";
import { faultOf } from "./http-errors.ts";
import { VersionOutOfRange } from "./microversion.ts";
import type { Observer } from "./observer.ts";
import type { ApiResponse } from "./response.ts";
import { looseBoolean } from "./schemas.ts";
import type { ServerRequest } from "./server-request.ts";
import { type BaseUrlSettings, baseUrl } from "./urls.ts";

export interface ResponderSettings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly baseUrl: BaseUrlSettings;
  /** Path of the identity service's versioned root (`/identity/v3`), told to clients that lack a token. */
  readonly identityPath: string;
  readonly cors: CorsSettings;
  readonly closing: AbortSignal;
  readonly observer: Observer;
}

/** Writes answers and errors to the wire, once per request. */
export class Responder {
  readonly #settings: ResponderSettings;

  constructor(settings: ResponderSettings) {
    this.#settings = settings;
  }

  send(
    runtime: FaceRuntime,
    request: ServerRequest,
    reply: FastifyReply,
    result: ApiResponse,
    startedAt: number,
  ): void {
    const status = result.status ?? request.endpoint?.success ?? 200;
    const text = result.body === undefined ? result.raw : JSON.stringify(result.body);
    const type = result.contentType ?? "application/json";
    const response = reply.raw;
    reply.hijack();
    response.statusCode = status;
    this.#commonHeaders(runtime, request, response, request.version.text);
    for (const name in result.headers) response.setHeader(name, result.headers[name] ?? "");
    this.#write(request, response, text ?? "", status === 204 || status === 304 ? undefined : type);
    this.#done(request, status, startedAt);
  }

  sendError(
    runtime: FaceRuntime,
    request: ServerRequest,
    reply: FastifyReply,
    error: unknown,
    startedAt: number,
  ): void {
    const { face } = runtime;
    const fault = faultOf(face, error, request.requestId);
    if (fault.status >= 500) this.#report(request, error);
    const response = reply.raw;
    reply.hijack();
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.statusCode = fault.status;
    const rendered = rendererFor(runtime, error)(fault);
    const requested = error instanceof VersionOutOfRange ? error.requested : request.version.text;
    this.#commonHeaders(runtime, request, response, hidesVersion(error) ? "" : requested);
    if (fault.status === 401) {
      const uri = baseUrl(request.headers, this.#settings.baseUrl) + this.#settings.identityPath;
      response.setHeader("WWW-Authenticate", `Keystone uri="${uri}"`);
    }
    if (fault.status === 413 || request.readsOwnBody) response.setHeader("Connection", "close");
    const retryAfter = fault.fields.retryAfter;
    if (retryAfter !== undefined) response.setHeader("Retry-After", String(retryAfter));
    this.#write(request, response, rendered.body, rendered.contentType);
    this.#done(request, fault.status, startedAt);
  }

  #commonHeaders(runtime: FaceRuntime, request: ServerRequest, response: ServerResponse, version: string): void {
    const { face } = runtime;
    for (const name of face.requestIdHeaders) response.setHeader(name, request.requestId);
    const versioned = version !== "" && version !== "0.0";
    if (versioned) for (const [name, value] of runtime.versionHeaders(version)) response.setHeader(name, value);
    const vary = runtime.varyFor(versioned);
    if (vary.length > 0) response.setHeader("Vary", vary as string[]);
    allowOrigin(this.#settings.cors, face, request.headers.origin, response);
    if (this.#settings.closing.aborted) response.setHeader("Connection", "close");
    const optIn = face.optInHeader;
    if (optIn === undefined) return;
    const asked = request.headers[optIn];
    if (typeof asked === "string" && looseBoolean(asked)) response.setHeader(optIn, "True");
  }

  #write(request: ServerRequest, response: ServerResponse, body: string | Buffer | Readable, type: string | undefined) {
    if (type !== undefined) response.setHeader("Content-Type", type);
    if (body instanceof Readable) {
      this.#stream(request, response, body);
      return;
    }
    if (type !== undefined) response.setHeader("Content-Length", Buffer.byteLength(body));
    response.end(body);
  }

  /** The stream ends with the client, and the client's answer breaks off where the stream does. */
  #stream(request: ServerRequest, response: ServerResponse, body: Readable): void {
    if (request.method === "HEAD") {
      body.destroy();
      response.end();
      return;
    }
    const { socket } = response;
    response.once("close", () => {
      body.destroy();
      if (this.#settings.closing.aborted) socket?.end();
    });
    body.once("close", () => {
      if (!body.readableEnded) response.destroy();
    });
    body.once("error", (error) => {
      this.#report(request, error);
      response.destroy();
    });
    response.flushHeaders();
    body.pipe(response);
  }

  #done(request: ServerRequest, status: number, startedAt: number): void {
    this.#settings.observer.observe(request, status, this.#settings.clock.now() - startedAt);
  }

  #report(request: ServerRequest, error: unknown): void {
    const fields = { requestId: request.requestId, route: request.endpoint?.name, path: request.path };
    this.#settings.log.error({ ...fields, ...errorFields(error) }, "request failed");
  }
}

/** The token check and the path rules stand before the service, and have bodies of their own. */
function rendererFor(runtime: FaceRuntime, error: unknown): ErrorRenderer {
  const { face } = runtime;
  if (!(error instanceof CloudError)) return face.errors.render;
  if (error.code === "http.unauthenticated") return errorEnvelope;
  if (error.code === "http.unrouted" || error.code === "http.method") return face.errors.unrouted;
  if (error.code === "http.project" && face.project.mismatchBare) return frameworkEnvelope;
  return face.errors.render;
}

/** A malformed version, a missing token and an unrouted path are answered before a version is known. */
function hidesVersion(error: unknown): boolean {
  if (!(error instanceof CloudError)) return false;
  return error.code === "http.versionSyntax" || error.code === "http.unauthenticated" || error.code === "http.unrouted";
}
