import type { Queries } from "../../../kernel/store/store.ts";
import { optionalMicros, tokenTime } from "../domain/times.ts";
import { notFound } from "../errors.ts";
import { accessRulesOfCredential, findCredential } from "../store/application-credentials.ts";
import { catalogFor } from "../store/catalog.ts";
import type { RoleRef } from "../store/effective-roles.ts";
import { findProject } from "../store/projects.ts";
import { findUser } from "../store/users.ts";
import type { TokenClaims, TokenScope } from "../tokens/claims.ts";

/** The `token` object of POST and GET `/auth/tokens`. 404 when what the token speaks of is gone. */
export async function tokenView(
  queries: Queries,
  verified: { readonly claims: TokenClaims; readonly roles: readonly RoleRef[] },
  options: { readonly catalog: boolean },
): Promise<Record<string, unknown>> {
  const { claims, roles } = verified;
  const { scope } = claims;
  const user = await findUser(queries, claims.userId);
  if (!user) throw notFound("user", claims.userId);
  const scoped = scope.kind !== "unscoped";
  return {
    methods: claims.methods,
    user: {
      id: user.id,
      name: user.name,
      domain: await nameOf(queries, user.domain_id),
      password_expires_at: optionalMicros(user.password_expires_at),
    },
    audit_ids: claims.auditIds,
    issued_at: tokenTime(claims.issuedAt),
    expires_at: tokenTime(claims.expiresAt),
    ...(await scopeView(queries, scope)),
    ...(scoped ? { roles } : {}),
    ...(scoped && options.catalog ? { catalog: await catalogFor(queries, catalogSubject(claims)) } : {}),
    ...(await credentialView(queries, claims)),
  };
}

/** Who a catalog is for. */
export function catalogSubject(claims: Pick<TokenClaims, "userId" | "scope">) {
  const { scope } = claims;
  return {
    userId: claims.userId,
    projectId: scope.kind === "project" ? scope.projectId : null,
    domainId: scope.kind === "domain" ? scope.domainId : null,
  };
}

async function scopeView(queries: Queries, scope: TokenScope): Promise<Record<string, unknown>> {
  switch (scope.kind) {
    case "unscoped":
      return {};
    case "system":
      return { system: { all: true } };
    case "domain":
      return { domain: await nameOf(queries, scope.domainId) };
    case "project": {
      const project = await findProject(queries, scope.projectId);
      if (!project) throw notFound("project", scope.projectId);
      const domain = await nameOf(queries, scope.domainId);
      return { project: { id: project.id, name: project.name, domain }, is_domain: project.is_domain === 1 };
    }
  }
}

async function nameOf(queries: Queries, domainId: string): Promise<{ id: string; name: string }> {
  const domain = await findProject(queries, domainId);
  if (!domain) throw notFound("domain", domainId);
  return { id: domain.id, name: domain.name };
}

async function credentialView(queries: Queries, claims: TokenClaims): Promise<Record<string, unknown>> {
  if (!claims.applicationCredential) return {};
  const { id, restricted, hasAccessRules } = claims.applicationCredential;
  const row = await findCredential(queries, id);
  if (!row) throw notFound("application credential", id);
  const rules = hasAccessRules ? await accessRulesOfCredential(queries, id) : [];
  return {
    application_credential: {
      id,
      name: row.name,
      restricted,
      ...(hasAccessRules
        ? {
            access_rules: rules.map(({ id: ruleId, path, method, service }) => ({ id: ruleId, path, method, service })),
          }
        : {}),
    },
  };
}
