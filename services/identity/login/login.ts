import type { KernelServices } from "../../../kernel/service/manifest.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { refused, unauthorized } from "../errors.ts";
import { effectiveRoles, type RoleRef } from "../store/effective-roles.ts";
import { findDomain, findProject } from "../store/projects.ts";
import type { UserRow } from "../store/tables.ts";
import { findUser } from "../store/users.ts";
import type { TokenClaims, TokenScope } from "../tokens/claims.ts";
import type { Revocations } from "../tokens/revocations.ts";
import type { TokenService } from "../tokens/token-service.ts";
import type { AuthRequest } from "./auth-request.ts";
import { type Proof, prove } from "./methods.ts";
import { defaultScope, projectScope, resolveScope } from "./scope.ts";

export interface LoginSettings {
  readonly kernel: Pick<KernelServices, "store" | "clock" | "ids">;
  readonly tokens: TokenService;
  readonly revocations: Revocations;
  readonly tokenLifeMs: number;
}

export interface IssuedToken {
  readonly token: string;
  readonly claims: TokenClaims;
  readonly roles: readonly RoleRef[];
}

/** Checks every method of the request, decides the scope and makes the token. Failures are those of §3.2 of the contract. */
export async function logIn(settings: LoginSettings, request: AuthRequest): Promise<IssuedToken> {
  const { store, clock, ids } = settings.kernel;
  const queries = store.read;
  const now = clock.now();
  // Read before anything else: an event that is committed meanwhile then revokes the token.
  const serial = await settings.revocations.currentSerial(queries);
  const proofs: Proof[] = [];
  for (const method of request.methods) {
    proofs.push(await prove(method, request.identity, { queries, tokens: settings.tokens, now }));
  }
  const user = await theOneUser(queries, proofs);
  const source = proofs.find((proof) => proof.source)?.source ?? null;
  const credential = proofs.find((proof) => proof.credential)?.credential ?? null;
  const methods = [...new Set([...request.methods, ...(source?.methods ?? [])])];
  checkFactors(user, methods);
  checkRescope(request, source);
  if (credential && !source && request.scope) throw unauthorized("an application credential has its own scope");
  const scope = credential
    ? await credentialScope(queries, credential.row.project_id)
    : await scopeFor(queries, request, user);
  const subject = { userId: user.id, scope, applicationCredential: credential && { id: credential.row.id } };
  const roles = await effectiveRoles(queries, subject);
  if (scope.kind !== "unscoped" && roles.length === 0) throw unauthorized("the user has no role in the scope");
  const auditId = ids.secret(16);
  const claims: TokenClaims = {
    userId: user.id,
    userDomainId: user.domain_id,
    issuedAt: now,
    expiresAt: Math.min(source?.expiresAt ?? now + settings.tokenLifeMs, credential?.row.expires_at ?? Infinity),
    methods,
    auditIds: [auditId, ...(source?.auditIds.slice(-1) ?? [])],
    serial,
    scope,
    roles: roles.map((role) => role.name),
    applicationCredential: credential && {
      id: credential.row.id,
      restricted: !credential.row.unrestricted,
      hasAccessRules: credential.hasAccessRules,
    },
  };
  return { token: await settings.tokens.issue(claims), claims, roles };
}

/** All methods must have shown the same user, and that user and its domain must be enabled. */
async function theOneUser(queries: Queries, proofs: readonly Proof[]): Promise<UserRow> {
  const [userId, ...others] = new Set(proofs.map((proof) => proof.userId));
  if (userId === undefined || others.length > 0) throw unauthorized("the methods disagree about the user");
  const user = await findUser(queries, userId);
  const domain = user && (await findDomain(queries, user.domain_id));
  if (!user?.enabled || !domain?.enabled) throw unauthorized("the user or the user's domain is disabled");
  return user;
}

interface FactorOptions {
  readonly multi_factor_auth_enabled?: boolean;
  readonly multi_factor_auth_rules?: readonly (readonly string[])[];
}

/** A user may demand several methods at once: all of at least one rule must have been used. */
function checkFactors(user: UserRow, methods: readonly string[]): void {
  const options = JSON.parse(user.options) as FactorOptions;
  const rules = options.multi_factor_auth_enabled ? (options.multi_factor_auth_rules ?? []) : [];
  if (rules.length === 0 || rules.some((rule) => rule.every((method) => methods.includes(method)))) return;
  throw unauthorized("the user demands more methods");
}

/** What a token may not be exchanged for. */
function checkRescope(request: AuthRequest, source: TokenClaims | null): void {
  if (!source || !request.scope) return;
  if (source.applicationCredential) throw refused("A token of an application credential keeps its scope.");
  const wanted = request.scope.kind;
  if (source.scope.kind === "system" && (wanted === "project" || wanted === "domain")) {
    throw refused("A system-scoped token cannot be rescoped to a project or domain.");
  }
}

async function scopeFor(queries: Queries, request: AuthRequest, user: UserRow): Promise<TokenScope> {
  return request.scope ? await resolveScope(queries, request.scope) : await defaultScope(queries, user);
}

async function credentialScope(queries: Queries, projectId: string): Promise<TokenScope> {
  const scope = await projectScope(queries, await findProject(queries, projectId));
  if (!scope) throw unauthorized("the project of the application credential is disabled");
  return scope;
}
