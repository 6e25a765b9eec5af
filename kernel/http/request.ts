import type { Readable } from "node:stream";
import type { Logger } from "../log/logger.ts";
import type { Credentials, PolicyTarget } from "../policy/credentials.ts";
import type { ApiVersion } from "./api-version.ts";
import type { Face } from "./face.ts";
import type { Urls } from "./urls.ts";

/**
 * Turns a token into who it speaks for. Throws `CloudError("unauthenticated", …)` when it is not valid, also for this
 * one request: some tokens are good for certain requests only.
 */
export interface Authenticator {
  authenticate(token: string, request: TokenUse): Promise<Credentials>;
}

/** What a token is shown for. */
export interface TokenUse {
  readonly method: string;
  /** With the root of the face, without the query. */
  readonly path: string;
}

/** The host behind an agent's credential. */
export interface AgentIdentity {
  readonly hostId: string;
  readonly host: string;
}

/** Throws `CloudError("unauthenticated", …)` when the credential is not valid. */
export interface AgentAuthenticator {
  authenticateAgent(credential: string): Promise<AgentIdentity>;
}

/** What the kernel needs of a policy; `enforce` throws `CloudError("forbidden", …)`. */
export interface PolicyCheck {
  /** Grows whenever rules change. */
  readonly revision: number;
  enforce(rule: string, credentials: Credentials, target: PolicyTarget): void;
  check(rule: string, credentials: Credentials, target: PolicyTarget): boolean;
}

/** Who asks, and under which request id. Plain data: may be handed to operations and other services. */
export interface RequestContext {
  readonly userId: string;
  /** Null for tokens that are not scoped to a project. */
  readonly projectId: string | null;
  readonly domainId: string | null;
  readonly systemScope: "all" | null;
  readonly roles: readonly string[];
  /** Satisfies the face's admin rule. */
  readonly isAdmin: boolean;
  /** `req-<uuid>`, as answered in the request id headers. */
  readonly requestId: string;
  /** The caller's own `X-Openstack-Request-Id`, when well-formed. */
  readonly globalRequestId: string | null;
  readonly credentials: Credentials;
}

export type QueryValue = string | string[] | undefined;
export type RawQuery = Readonly<Record<string, QueryValue>>;

/** What a handler sees of a request. `Body` and `Query` are the static types of the route's schemas; `ApiRequest` fits all. */
export interface ApiRequest<Body = unknown, Query = unknown> {
  readonly face: Face;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parts of the path, percent-decoded; empty text when the route has no such part. */
  param(name: string): string;
  /** Validated and converted; without a schema the same as `rawQuery`. */
  readonly query: Query;
  readonly rawQuery: RawQuery;
  /** Validated. For an action: the value under the action's key. */
  readonly body: Body;
  /** The unread body of routes with `rawBody`. */
  readonly bodyStream: Readable;
  readonly version: ApiVersion;
  /** The project id of the path, when the request's URL had one. */
  readonly pathProjectId: string | null;
  /** Who asks. Throws (500) on routes with `auth: "none"`. */
  readonly context: RequestContext;
  /** The raw `X-Auth-Token`; empty when there is none. Never log it. */
  readonly token: string;
  /** The host that asks. Throws (500) except on routes with `auth: "agent"`. */
  readonly agent: AgentIdentity;
  readonly requestId: string;
  readonly urls: Urls;
  /** Throws `CloudError("forbidden")`; the rule must be one that the route declares. */
  authorize(rule: string, target?: PolicyTarget): void;
  /** As `authorize`, but answers instead of throwing. */
  check(rule: string, target?: PolicyTarget): boolean;
  /** Of the rules that `authorize` and `check` go by. */
  readonly policyRevision: number;
  readonly log: Logger;
  /** Aborted when the client goes away before the answer. */
  readonly signal: AbortSignal;
  /** Aborted when the server shuts down: long polls and streams should end then. */
  readonly closing: AbortSignal;
}
