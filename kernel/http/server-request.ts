import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import { CloudError } from "../errors/cloud-error.ts";
import type { Logger } from "../log/logger.ts";
import type { Credentials, PolicyTarget } from "../policy/credentials.ts";
import { type ApiVersion, NO_VERSION } from "./api-version.ts";
import type { Face } from "./face.ts";
import type { AgentIdentity, ApiRequest, PolicyCheck, RawQuery, RequestContext } from "./request.ts";
import type { Endpoint } from "./route.ts";
import { type BaseUrlSettings, Urls } from "./urls.ts";

/** What all requests of a server share. */
export interface RequestSettings {
  readonly policy: PolicyCheck;
  readonly log: Logger;
  readonly closing: AbortSignal;
  readonly baseUrl: BaseUrlSettings;
}

const DEFAULT_ADMIN_RULE = "context_is_admin";
const GLOBAL_REQUEST_ID = /^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const EMPTY_TARGET: PolicyTarget = {};

/** The kernel's own view of a request; handlers see it as `ApiRequest`. Everything costly is made when asked for. */
export class ServerRequest implements ApiRequest {
  readonly face: Face;
  readonly requestId: string;
  readonly rawQuery: RawQuery;
  query: RawQuery;
  body: unknown = undefined;
  version: ApiVersion = NO_VERSION;
  credentials: Credentials | undefined = undefined;
  agentIdentity: AgentIdentity | undefined = undefined;
  /** The route or action in charge, once known. */
  endpoint: Endpoint | undefined = undefined;
  /** True once a declared rule was asked. */
  asked = false;
  readonly #settings: RequestSettings;
  readonly #request: FastifyRequest;
  readonly #response: ServerResponse;
  readonly #params: Readonly<Record<string, string | undefined>>;
  #context: RequestContext | undefined;
  #urls: Urls | undefined;
  #signal: AbortSignal | undefined;

  constructor(face: Face, request: FastifyRequest, response: ServerResponse, settings: RequestSettings) {
    this.face = face;
    this.requestId = request.id;
    this.rawQuery = request.query as RawQuery;
    this.query = this.rawQuery;
    this.#params = request.params as Record<string, string | undefined>;
    this.#request = request;
    this.#response = response;
    this.#settings = settings;
  }

  get method(): string {
    return this.#request.method;
  }

  get path(): string {
    return pathOf(this.#request.raw.url ?? "/");
  }

  get headers(): IncomingHttpHeaders {
    return this.#request.raw.headers;
  }

  param(name: string): string {
    return this.#params[name] ?? "";
  }

  get pathProjectId(): string | null {
    return this.#params.project_id ?? null;
  }

  get bodyStream(): Readable {
    return this.#request.raw;
  }

  /** True when the handler was to read the body, so that a refusal leaves it unread. */
  get readsOwnBody(): boolean {
    return this.endpoint !== undefined && "rawBody" in this.endpoint && this.endpoint.rawBody === true;
  }

  get token(): string {
    const token = this.#request.raw.headers["x-auth-token"];
    return typeof token === "string" ? token : "";
  }

  get globalRequestId(): string | null {
    const id = this.#request.raw.headers["x-openstack-request-id"];
    return typeof id === "string" && GLOBAL_REQUEST_ID.test(id) ? id : null;
  }

  get context(): RequestContext {
    this.#context ??= this.#makeContext();
    return this.#context;
  }

  get agent(): AgentIdentity {
    if (!this.agentIdentity) throw misuse(`${this.endpoint?.name} is no agent route`);
    return this.agentIdentity;
  }

  get urls(): Urls {
    this.#urls ??= new Urls(this.face, this.pathProjectId, this.headers, this.#settings.baseUrl);
    return this.#urls;
  }

  authorize(rule: string, target: PolicyTarget = EMPTY_TARGET): void {
    this.#settings.policy.enforce(rule, this.#declared(rule), target);
  }

  check(rule: string, target: PolicyTarget = EMPTY_TARGET): boolean {
    return this.#settings.policy.check(rule, this.#declared(rule), target);
  }

  get policyRevision(): number {
    return this.#settings.policy.revision;
  }

  get log(): Logger {
    return this.#settings.log.with({ requestId: this.requestId });
  }

  get signal(): AbortSignal {
    this.#signal ??= abortWhenGone(this.#response);
    return this.#signal;
  }

  get closing(): AbortSignal {
    return this.#settings.closing;
  }

  #declared(rule: string): Credentials {
    if (!this.endpoint?.rules.has(rule)) throw misuse(`${this.endpoint?.name} does not declare the rule ${rule}`);
    this.asked = true;
    return this.#known();
  }

  #known(): Credentials {
    if (!this.credentials) throw misuse(`${this.endpoint?.name} asked who calls, but takes no token`);
    return this.credentials;
  }

  #makeContext(): RequestContext {
    const credentials = this.#known();
    return {
      userId: credentials.userId,
      projectId: credentials.projectId,
      domainId: credentials.domainId,
      systemScope: credentials.systemScope,
      roles: credentials.roles,
      isAdmin: this.#settings.policy.check(this.face.adminRule ?? DEFAULT_ADMIN_RULE, credentials, EMPTY_TARGET),
      requestId: this.requestId,
      globalRequestId: this.globalRequestId,
      credentials,
    };
  }
}

/** The path of a URL without its query, which may hold secrets. */
export function pathOf(url: string): string {
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

function misuse(what: string): CloudError {
  return new CloudError("internal", "http.misuse", "An unexpected error occurred.", { internal: what });
}

function abortWhenGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}
