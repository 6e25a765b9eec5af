import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { invalid, notFound } from "../errors.ts";

export const METHODS = ["password", "token", "application_credential"] as const;
export type Method = (typeof METHODS)[number];

const Text = Type.String();
const DomainRef = Type.Object({ id: Type.Optional(Text), name: Type.Optional(Text) });
const UserRef = Type.Object({ id: Type.Optional(Text), name: Type.Optional(Text), domain: Type.Optional(DomainRef) });
export type UserReference = Static<typeof UserRef>;

const ScopeObject = Type.Object({
  project: Type.Optional(
    Type.Object({ id: Type.Optional(Text), name: Type.Optional(Text), domain: Type.Optional(DomainRef) }),
  ),
  domain: Type.Optional(DomainRef),
  system: Type.Optional(Type.Object({ all: Type.Optional(Type.Boolean()) })),
  unscoped: Type.Optional(Type.Object({})),
  "OS-TRUST:trust": Type.Optional(Type.Object({})),
});
type ScopeObject = Static<typeof ScopeObject>;

/** What a login may look like; the rules between its parts are checked by `readAuth`. */
export const AuthBody = Type.Object({
  auth: Type.Object({
    identity: Type.Object({
      methods: Type.Array(Text),
      password: Type.Optional(
        Type.Object({ user: Type.Intersect([UserRef, Type.Object({ password: Type.String() })]) }),
      ),
      token: Type.Optional(Type.Object({ id: Text })),
      application_credential: Type.Optional(
        Type.Object({
          id: Type.Optional(Text),
          name: Type.Optional(Text),
          secret: Text,
          user: Type.Optional(UserRef),
        }),
      ),
    }),
    scope: Type.Optional(Type.Union([Type.Literal("unscoped"), ScopeObject])),
  }),
});
export type AuthBody = Static<typeof AuthBody>;

/** By id, or by name within a domain that is itself given by id or name. */
export type ByName = { readonly name: string; readonly domain: Reference };
export type Reference = { readonly id: string } | { readonly name: string };

export type WantedScope =
  | { readonly kind: "unscoped" }
  | { readonly kind: "system" }
  | { readonly kind: "domain"; readonly domain: Reference }
  | { readonly kind: "project"; readonly project: { readonly id: string } | ByName };

export interface AuthRequest {
  readonly methods: readonly Method[];
  readonly identity: AuthBody["auth"]["identity"];
  /** Null: none was named. */
  readonly scope: WantedScope | null;
}

/** Throws 400 for what contradicts itself and 401 for methods that nobody supports. */
export function readAuth(body: AuthBody): AuthRequest {
  const { identity, scope } = body.auth;
  if (identity.methods.length === 0) throw invalid("At least one authentication method is needed.");
  const methods = [...new Set(identity.methods)].map((name) => {
    const method = METHODS.find((known) => known === name);
    if (!method) throw unsupportedMethod();
    if (identity[method] === undefined) throw invalid(`Expecting to find ${method} in identity.`);
    return method;
  });
  return { methods, identity, scope: scope === undefined ? null : readScope(scope) };
}

/** Throws 400 unless the reference names an id, or a name with a domain. */
export function readNamed(reference: UserReference, what: string): { readonly id: string } | ByName {
  if (reference.id !== undefined) return { id: reference.id };
  if (reference.name === undefined) throw invalid(`Expecting to find id or name in ${what}.`);
  if (reference.domain === undefined) throw invalid(`Expecting to find domain in ${what}.`);
  return { name: reference.name, domain: readReference(reference.domain, "domain") };
}

function readReference(reference: Static<typeof DomainRef>, what: string): Reference {
  if (reference.id !== undefined) return { id: reference.id };
  if (reference.name !== undefined) return { name: reference.name };
  throw invalid(`Expecting to find id or name in ${what}.`);
}

function readScope(scope: "unscoped" | ScopeObject): WantedScope {
  if (scope === "unscoped") return { kind: "unscoped" };
  const named = SCOPE_KEYS.filter((key) => scope[key] !== undefined);
  if (named.length !== 1) throw invalid("The scope must be exactly one of project, domain, system and unscoped.");
  if (scope.project) return { kind: "project", project: readNamed(scope.project, "project") };
  if (scope.domain) return { kind: "domain", domain: readReference(scope.domain, "domain") };
  if (scope["OS-TRUST:trust"]) throw notFound("trust", "");
  if (scope.system && scope.system.all !== true) throw invalid('The system scope must be {"all": true}.');
  return { kind: scope.system ? "system" : "unscoped" };
}

const SCOPE_KEYS = ["project", "domain", "system", "unscoped", "OS-TRUST:trust"] as const;

function unsupportedMethod(): CloudError {
  return new CloudError("unauthenticated", "identity.method", "Attempted to authenticate with an unsupported method.", {
    fields: { identity: { methods: METHODS } },
  });
}
