import { CloudError } from "../errors/cloud-error.ts";
import type { Credentials, PolicyTarget } from "./credentials.ts";
import { ADMIN_RULE, type Expression, type Literal, type Template } from "./expression.ts";

export type Predicate = (credentials: Credentials, target: PolicyTarget) => boolean;

/**
 * Turns named expressions into predicates that allocate nothing for the usual rules. A reference to an unknown rule denies.
 * Throws CloudError("invalid", "policy.cycle") with `fields.rules`, the names around the circle.
 */
export function compileRules(rules: ReadonlyMap<string, Expression>): Map<string, Predicate> {
  const compiled = new Map<string, Predicate>();
  const path: string[] = [];
  const byName = (name: string): Predicate => {
    const done = compiled.get(name);
    if (done) return done;
    const expression = rules.get(name);
    if (!expression) return never;
    if (path.includes(name)) throw cycleError([...path.slice(path.indexOf(name)), name]);
    path.push(name);
    const predicate = compile(expression, byName);
    path.pop();
    compiled.set(name, predicate);
    return predicate;
  };
  for (const name of rules.keys()) byName(name);
  return compiled;
}

const always: Predicate = () => true;
const never: Predicate = () => false;

function compile(expression: Expression, byName: (name: string) => Predicate): Predicate {
  switch (expression.kind) {
    case "always":
      return always;
    case "never":
      return never;
    case "not": {
      const inner = compile(expression.of, byName);
      return (credentials, target) => !inner(credentials, target);
    }
    case "and":
      return allOf(expression.of.map((part) => compile(part, byName)));
    case "or":
      return anyOf(expression.of.map((part) => compile(part, byName)));
    case "rule":
      return byName(expression.name);
    case "role":
      return compileRole(expression.match);
    case "literal":
      return compileLiteral(expression.value, expression.match);
    case "attribute":
      return expression.path === "is_admin"
        ? compileIsAdmin(byName(ADMIN_RULE), expression.match)
        : compileAttribute(expression.path, expression.match);
  }
}

function allOf(parts: readonly Predicate[]): Predicate {
  return (credentials, target) => {
    for (const part of parts) if (!part(credentials, target)) return false;
    return true;
  };
}

function anyOf(parts: readonly Predicate[]): Predicate {
  return (credentials, target) => {
    for (const part of parts) if (part(credentials, target)) return true;
    return false;
  };
}

function compileRole(match: Template): Predicate {
  const fixed = constantOf(match);
  if (fixed !== undefined) {
    const wanted = fixed.toLowerCase();
    return (credentials) => hasRole(credentials.roles, wanted);
  }
  const render = compileTemplate(match);
  return (credentials, target) => {
    const wanted = textOf(render(target));
    return wanted !== undefined && hasRole(credentials.roles, wanted.toLowerCase());
  };
}

function hasRole(roles: readonly string[], lowerCaseName: string): boolean {
  for (const role of roles) {
    if (role === lowerCaseName) return true;
    if (role.length === lowerCaseName.length && role.toLowerCase() === lowerCaseName) return true;
  }
  return false;
}

/** `None:%(x)s` is the one way to ask for an empty target attribute, and only a real null satisfies it. */
function compileLiteral(value: Literal, match: Template): Predicate {
  const render = compileTemplate(match);
  if (value === null) return (_, target) => render(target) === null;
  const wanted = textOf(value);
  return (_, target) => textOf(render(target)) === wanted;
}

function compileIsAdmin(isAdmin: Predicate, match: Template): Predicate {
  const render = compileTemplate(match);
  return (credentials, target) => textOf(render(target)) === textOf(isAdmin(credentials, target));
}

function compileAttribute(path: string, match: Template): Predicate {
  const read = attributeReader(path);
  const fixed = constantOf(match);
  if (fixed === "None") return (credentials) => read(credentials) === null;
  const render = compileTemplate(match);
  return (credentials, target) => equals(read(credentials), textOf(render(target)));
}

/**
 * Null equals nothing: a token without a project must not own what has no project. (oslo.policy compares both as the text
 * "None", which lets it.) Of a list, any member may match.
 */
function equals(value: unknown, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  if (!Array.isArray(value)) return textOf(value) === wanted;
  for (const member of value) if (textOf(member) === wanted) return true;
  return false;
}

const ATTRIBUTES: ReadonlyMap<string, (credentials: Credentials) => unknown> = new Map([
  ["user_id", (c: Credentials): unknown => c.userId],
  ["project_id", (c: Credentials): unknown => c.projectId],
  ["tenant_id", (c: Credentials): unknown => c.projectId],
  ["domain_id", (c: Credentials): unknown => c.domainId],
  ["system_scope", (c: Credentials): unknown => c.systemScope],
  ["user_domain_id", (c: Credentials): unknown => c.userDomainId],
  ["project_domain_id", (c: Credentials): unknown => c.projectDomainId],
  ["is_admin_project", (c: Credentials): unknown => c.isAdminProject ?? true],
  ["roles", (c: Credentials): unknown => c.roles],
  ["service_roles", (c: Credentials): unknown => c.serviceRoles],
]);

function attributeReader(path: string): (credentials: Credentials) => unknown {
  const known = ATTRIBUTES.get(path);
  if (known) return known;
  const lookUp = compileLookUp(path);
  return (credentials) => (credentials.attributes ? lookUp(credentials.attributes) : undefined);
}

/** The rendered text; for a single `%(name)s` the attribute itself; undefined when an attribute is missing. */
function compileTemplate(template: Template): (target: PolicyTarget) => unknown {
  const fixed = constantOf(template);
  if (fixed !== undefined) return () => fixed;
  const parts = template.map((part) => (typeof part === "string" ? part : compileLookUp(part.target)));
  const only = parts.length === 1 ? parts[0] : undefined;
  if (typeof only === "function") return only;
  return (target) => {
    let text = "";
    for (const part of parts) {
      const piece = typeof part === "string" ? part : textOf(part(target));
      if (piece === undefined) return undefined;
      text += piece;
    }
    return text;
  };
}

function constantOf(template: Template): string | undefined {
  const only = template[0];
  return template.length === 1 && typeof only === "string" ? only : undefined;
}

/** A key spelled with its dots wins over the nested path. */
function compileLookUp(path: string): (from: Readonly<Record<string, unknown>>) => unknown {
  const segments = path.split(".");
  return (from) => {
    if (segments.length === 1 || Object.hasOwn(from, path)) return Object.hasOwn(from, path) ? from[path] : undefined;
    let value: unknown = from;
    for (const segment of segments) {
      if (!isRecord(value) || !Object.hasOwn(value, segment)) return undefined;
      value = value[segment];
    }
    return value;
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Booleans are spelled as in Python, whose forms the language uses. Undefined for what cannot be compared. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "number" ? String(value) : undefined;
}

function cycleError(names: readonly string[]): CloudError {
  return new CloudError("invalid", "policy.cycle", `rules refer to each other in a circle: ${names.join(" -> ")}`, {
    fields: { rules: names },
  });
}
