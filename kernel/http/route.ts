import type { Static, TSchema } from "typebox";
import { type VersionRange, versionNumber, versionRange } from "./api-version.ts";
import type { ApiRequest, RawQuery } from "./request.ts";
import type { ApiResponse } from "./response.ts";

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export type HandlerResult = ApiResponse | undefined;

/** Schemas by the first version in which each holds; made by `byVersion`. */
export class SchemasByVersion<S extends TSchema> {
  /** Newest first. */
  readonly steps: readonly { readonly since: number; readonly schema: S }[];

  constructor(schemas: Readonly<Record<string, S>>) {
    this.steps = Object.entries(schemas)
      .map(([since, schema]) => ({ since: versionNumber(since), schema }))
      .sort((a, b) => b.since - a.since);
  }
}

/** `byVersion({ "2.1": A, "2.25": B })`: A up to 2.24, B from 2.25. */
export function byVersion<S extends TSchema>(schemas: Readonly<Record<string, S>>): SchemasByVersion<S> {
  return new SchemasByVersion(schemas);
}

interface Guarded {
  /**
   * Rules that the handler may enforce with `authorize`/`check`; at least one must have been asked before a 2xx.
   * `authenticated`: any valid token will do.
   */
  readonly policy?: string | readonly string[];
  /** First and last microversion in which this exists; outside it is 404. */
  readonly minVersion?: string;
  readonly maxVersion?: string;
  /** Status of an answer that names none; 200 for routes, 202 for actions. */
  readonly success?: number;
  /** Needs the face's opt-in header. */
  readonly optIn?: boolean;
}

/** The type of a schema, or `Otherwise` when a route has none. */
export type TypeOf<S extends TSchema, Otherwise> = TSchema extends S ? Otherwise : Static<S>;

export interface RouteDefinition<B extends TSchema, Q extends TSchema> extends Guarded {
  /** Permanent, for logs, metrics and tests: `servers.show`. */
  readonly name: string;
  readonly method: Method;
  /** Under the face's prefix: `/servers/:id`. */
  readonly path: string;
  /** `root`: the path counts from the face's root, outside the version. */
  readonly at?: "root";
  readonly auth?: "token" | "none" | "agent";
  readonly query?: Q | SchemasByVersion<Q>;
  /** Unknown query keys are ignored below this version and 400 from it on; `always`; absent: always ignored. */
  readonly strictQueryFrom?: string;
  /** A body is demanded when there is a schema. */
  readonly body?: B | SchemasByVersion<B>;
  /** The handler reads `bodyStream`; no size limit. */
  readonly rawBody?: boolean;
  /** False: GET does not also answer HEAD. */
  readonly head?: boolean;
  handler(request: ApiRequest<TypeOf<B, unknown>, TypeOf<Q, RawQuery>>): Promise<HandlerResult> | HandlerResult;
}

export interface ActionDefinition<B extends TSchema> extends Guarded {
  /** The one key of the body: `os-migrateLive`. */
  readonly key: string;
  /** Permanent; `<route name>.<key>` when absent. */
  readonly name?: string;
  /** Schema of the value under the key; absent: anything. */
  readonly body?: B | SchemasByVersion<B>;
  handler(request: ApiRequest<TypeOf<B, unknown>>): Promise<HandlerResult> | HandlerResult;
}

/** Types erased: what the kernel stores. Made by `route` and `action` only. */
export interface Endpoint {
  readonly name: string;
  readonly rules: ReadonlySet<string>;
  readonly authenticatedIsEnough: boolean;
  readonly range: VersionRange;
  readonly minVersion: string | undefined;
  readonly maxVersion: string | undefined;
  readonly success: number;
  readonly optIn: boolean;
  readonly body: TSchema | SchemasByVersion<TSchema> | undefined;
  readonly query: TSchema | SchemasByVersion<TSchema> | undefined;
  /** As a number; infinite when unknown keys are always ignored. */
  readonly strictQueryFrom: number;
  handler(request: ApiRequest<never, never>): Promise<HandlerResult> | HandlerResult;
}

export interface Action extends Endpoint {
  readonly key: string;
}

export interface Route extends Endpoint {
  readonly method: Method;
  readonly path: string;
  readonly at: "root" | "version";
  readonly auth: "token" | "none" | "agent";
  readonly rawBody: boolean;
  readonly head: boolean;
  /** Present on action routes; an action's own range, rules and schema then count. */
  readonly actions?: ReadonlyMap<string, readonly Action[]>;
}

/** Declares one route. Throws when an authenticated route names no policy rule. */
export function route<B extends TSchema = TSchema, Q extends TSchema = TSchema>(
  definition: RouteDefinition<B, Q>,
): Route {
  const auth = definition.auth ?? "token";
  if (auth === "token" && definition.policy === undefined) {
    throw new Error(`route ${definition.name} names no policy rule`);
  }
  const strict = definition.strictQueryFrom;
  return {
    ...endpoint(definition.name, definition, 200),
    method: definition.method,
    path: definition.path,
    at: definition.at ?? "version",
    auth,
    rawBody: definition.rawBody ?? false,
    head: definition.head ?? true,
    body: definition.body,
    query: definition.query,
    strictQueryFrom: strict === undefined ? Number.MAX_SAFE_INTEGER : strict === "always" ? 0 : versionNumber(strict),
    handler: (request) => definition.handler(request),
  };
}

/** Declares one action of an action route. Several may share a key when their version ranges do not meet. */
export function action<B extends TSchema = TSchema>(definition: ActionDefinition<B>): Action {
  if (definition.policy === undefined) throw new Error(`action ${definition.key} names no policy rule`);
  return {
    ...endpoint(definition.name ?? definition.key, definition, 202),
    key: definition.key,
    body: definition.body,
    query: undefined,
    strictQueryFrom: Number.MAX_SAFE_INTEGER,
    handler: (request) => definition.handler(request),
  };
}

/** `POST <path>` with a body of exactly one key, which chooses the action. */
export function actionRoute(definition: { name: string; path: string; actions: readonly Action[] }): Route {
  const actions = new Map<string, Action[]>();
  for (const each of definition.actions) {
    const name = each.name.includes(".") ? each.name : `${definition.name}.${each.name}`;
    actions.set(each.key, [...(actions.get(each.key) ?? []), { ...each, name }]);
  }
  const rules = [...new Set(definition.actions.flatMap((each) => [...each.rules]))];
  return {
    ...route({
      name: definition.name,
      method: "POST",
      path: definition.path,
      policy: rules,
      handler: () => undefined,
    }),
    actions,
  };
}

function endpoint(name: string, guarded: Guarded, success: number) {
  const policy = guarded.policy ?? [];
  const rules = typeof policy === "string" ? [policy] : policy;
  return {
    name,
    rules: new Set(rules.filter((rule) => rule !== "authenticated")),
    authenticatedIsEnough: rules.includes("authenticated"),
    range: versionRange(guarded.minVersion, guarded.maxVersion),
    minVersion: guarded.minVersion,
    maxVersion: guarded.maxVersion,
    success: guarded.success ?? success,
    optIn: guarded.optIn ?? false,
  };
}
