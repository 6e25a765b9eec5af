import type { Queries } from "../../../kernel/store/store.ts";
import { type RoleGraph, roleGraph, withImplied } from "../domain/implied-roles.ts";
import type { ApplicationCredentialClaim, TokenScope } from "../tokens/claims.ts";
import { ancestorsOf, descendantsOf, findProject } from "./projects.ts";
import type { AssignmentRow, IdentityTables, ProjectRow } from "./tables.ts";

export interface RoleRef {
  readonly id: string;
  readonly name: string;
}

/** Whose roles, and where. */
export interface RoleSubject {
  readonly userId: string;
  readonly scope: TokenScope;
  readonly applicationCredential: Pick<ApplicationCredentialClaim, "id"> | null;
}

/** Everything granted to a user or to one of the user's groups. */
export function assignmentsOfUser(queries: Queries, userId: string): Promise<AssignmentRow[]> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_assignments")
    .selectAll()
    .where((eb) =>
      eb.or([
        eb("user_id", "=", userId),
        eb("group_id", "in", eb.selectFrom("identity_memberships").select("group_id").where("user_id", "=", userId)),
      ]),
    )
    .execute();
}

export async function readRoleGraph(queries: Queries): Promise<RoleGraph> {
  return roleGraph(await queries.tables<IdentityTables>().selectFrom("identity_implied_roles").selectAll().execute());
}

/** The roles that a token of this subject carries: granted, inherited and implied; those of a domain never. */
export async function effectiveRoles(queries: Queries, subject: RoleSubject): Promise<RoleRef[]> {
  if (subject.scope.kind === "unscoped") return [];
  const granted = await grantedRoleIds(queries, subject.userId, subject.scope);
  if (granted.size === 0) return [];
  const held = withImplied(granted, await readRoleGraph(queries));
  const allowed = subject.applicationCredential
    ? held.intersection(await credentialRoleIds(queries, subject.applicationCredential.id))
    : held;
  if (allowed.size === 0) return [];
  return await queries
    .tables<IdentityTables>()
    .selectFrom("identity_roles")
    .select(["id", "name"])
    .where("id", "in", [...allowed])
    .where("domain_id", "is", null)
    .orderBy("name_key")
    .execute();
}

/** The roles of a credential with everything they imply. */
async function credentialRoleIds(queries: Queries, credentialId: string): Promise<Set<string>> {
  const rows = await queries
    .tables<IdentityTables>()
    .selectFrom("identity_application_credential_roles")
    .select("role_id")
    .where("credential_id", "=", credentialId)
    .execute();
  return withImplied(
    rows.map((row) => row.role_id),
    await readRoleGraph(queries),
  );
}

async function grantedRoleIds(queries: Queries, userId: string, scope: TokenScope): Promise<Set<string>> {
  const all = await assignmentsOfUser(queries, userId);
  const applies = await applicability(queries, all, scope);
  return new Set(all.filter(applies).map((row) => row.role_id));
}

async function applicability(
  queries: Queries,
  all: readonly AssignmentRow[],
  scope: TokenScope,
): Promise<(row: AssignmentRow) => boolean> {
  switch (scope.kind) {
    case "unscoped":
      return () => false;
    case "system":
      return (row) => row.scope === "system";
    case "domain":
      return (row) => row.scope === "domain" && row.target_id === scope.domainId && !row.inherited;
    case "project": {
      const above = all.some((row) => row.inherited) ? await idsAbove(queries, scope.projectId) : new Set<string>();
      return (row) =>
        row.inherited
          ? row.target_id !== null && above.has(row.target_id)
          : row.scope === "project" && row.target_id === scope.projectId;
    }
  }
}

/** The projects above this one, and its domain. */
async function idsAbove(queries: Queries, projectId: string): Promise<Set<string>> {
  const project = await findProject(queries, projectId);
  if (!project) return new Set();
  const ancestors = await ancestorsOf(queries, project);
  return new Set(ancestors.map((row) => row.id));
}

/** Projects on which the user holds a role, by id. */
export async function projectsOfUser(queries: Queries, userId: string): Promise<ProjectRow[]> {
  const all = await assignmentsOfUser(queries, userId);
  const direct = all.flatMap((row) =>
    row.scope === "project" && !row.inherited && row.target_id ? row.target_id : [],
  );
  const roots = all.flatMap((row) => (row.inherited && row.target_id ? row.target_id : []));
  const below = await descendantsOf(queries, [...new Set(roots)]);
  const ids = [...new Set([...direct, ...below.map((row) => row.id)])];
  return await projectsById(queries, ids);
}

/** Domains on which the user holds a role, by id. */
export async function domainsOfUser(queries: Queries, userId: string): Promise<ProjectRow[]> {
  const all = await assignmentsOfUser(queries, userId);
  const ids = all.flatMap((row) => (row.scope === "domain" && !row.inherited && row.target_id ? row.target_id : []));
  return await projectsById(queries, [...new Set(ids)]);
}

async function projectsById(queries: Queries, ids: readonly string[]): Promise<ProjectRow[]> {
  if (ids.length === 0) return [];
  return await queries
    .tables<IdentityTables>()
    .selectFrom("identity_projects")
    .selectAll()
    .where("id", "in", ids)
    .orderBy("id")
    .execute();
}
