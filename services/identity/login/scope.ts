import type { Queries } from "../../../kernel/store/store.ts";
import { unauthorized } from "../errors.ts";
import { effectiveRoles } from "../store/effective-roles.ts";
import { findDomain, findProject, findProjectByName } from "../store/projects.ts";
import type { ProjectRow, UserRow } from "../store/tables.ts";
import type { TokenScope } from "../tokens/claims.ts";
import type { ByName, Reference, WantedScope } from "./auth-request.ts";

const UNSCOPED: TokenScope = { kind: "unscoped" };

/** Throws 401 when the target does not exist or is disabled. Whether the user has a role there is not checked. */
export async function resolveScope(queries: Queries, wanted: WantedScope): Promise<TokenScope> {
  switch (wanted.kind) {
    case "unscoped":
    case "system":
      return { kind: wanted.kind };
    case "domain": {
      const domain = await referredDomain(queries, wanted.domain);
      if (!domain?.enabled) throw unauthorized("the domain of the scope is unknown or disabled");
      return { kind: "domain", domainId: domain.id };
    }
    case "project": {
      const scope = await projectScope(queries, await referredProject(queries, wanted.project));
      if (!scope) throw unauthorized("the project of the scope is unknown or disabled");
      return scope;
    }
  }
}

/** The scope of a login that names none: the default project when it is usable, otherwise nothing. */
export async function defaultScope(queries: Queries, user: UserRow): Promise<TokenScope> {
  if (user.default_project_id === null) return UNSCOPED;
  const scope = await projectScope(queries, await findProject(queries, user.default_project_id));
  if (!scope) return UNSCOPED;
  const roles = await effectiveRoles(queries, { userId: user.id, scope, applicationCredential: null });
  return roles.length > 0 ? scope : UNSCOPED;
}

/** Null when the project or its domain is disabled. */
export async function projectScope(queries: Queries, project: ProjectRow | undefined): Promise<TokenScope | null> {
  if (!project?.enabled) return null;
  if (project.domain_id === null) return { kind: "project", projectId: project.id, domainId: project.id };
  const domain = await findDomain(queries, project.domain_id);
  return domain?.enabled ? { kind: "project", projectId: project.id, domainId: domain.id } : null;
}

export function referredDomain(queries: Queries, reference: Reference): Promise<ProjectRow | undefined> {
  return "id" in reference ? findDomain(queries, reference.id) : findProjectByName(queries, null, reference.name);
}

async function referredProject(queries: Queries, reference: { id: string } | ByName): Promise<ProjectRow | undefined> {
  if ("id" in reference) return await findProject(queries, reference.id);
  const domain = await referredDomain(queries, reference.domain);
  return domain && (await findProjectByName(queries, domain.id, reference.name));
}
