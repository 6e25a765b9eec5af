import type { Kysely } from "kysely";
import { isAmong } from "../../../kernel/store/is-among.ts";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityTables, ProjectRow } from "./tables.ts";

/** A project or a domain. */
export function findProject(queries: Queries, id: string): Promise<ProjectRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_projects")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

/** `domainId` null: a domain. */
export function findProjectByName(
  queries: Queries,
  domainId: string | null,
  name: string,
): Promise<ProjectRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_projects")
    .selectAll()
    .where("domain_id", domainId === null ? "is" : "=", domainId)
    .where("name_key", "=", name.toLowerCase())
    .executeTakeFirst();
}

export async function findDomain(queries: Queries, id: string): Promise<ProjectRow | undefined> {
  const row = await findProject(queries, id);
  return row?.is_domain ? row : undefined;
}

/** From the parent up to the domain. */
export async function ancestorsOf(
  queries: Queries,
  project: Pick<ProjectRow, "id" | "parent_id">,
): Promise<ProjectRow[]> {
  const found: ProjectRow[] = [];
  let next = project.parent_id;
  while (next !== null) {
    const parent = await findProject(queries, next);
    if (!parent) break;
    found.push(parent);
    next = parent.parent_id;
  }
  return found;
}

/** Every project below any of these, parents before children. */
export async function descendantsOf(queries: Queries, ids: readonly string[]): Promise<ProjectRow[]> {
  const found: ProjectRow[] = [];
  let level = ids;
  while (level.length > 0) {
    const rows = await queries
      .tables<IdentityTables>()
      .selectFrom("identity_projects")
      .selectAll()
      .where("parent_id", "in", level)
      .orderBy("id")
      .execute();
    found.push(...rows);
    level = rows.map((row) => row.id);
  }
  return found;
}

const tagsOfProjects = prepared((db: Kysely<IdentityTables>, p: { projectIds: string }, dialect) =>
  db
    .selectFrom("identity_project_tags")
    .selectAll()
    .where(isAmong(dialect, "project_id", p.projectIds))
    .orderBy("name"),
);

/** Tags in order of their names, by project id. */
export async function tagsOf(queries: Queries, projectIds: readonly string[]): Promise<Map<string, string[]>> {
  if (projectIds.length === 0) return new Map();
  const rows = await tagsOfProjects.all(queries, { projectIds: JSON.stringify(projectIds) });
  const tags = new Map<string, string[]>();
  for (const { project_id, name } of rows) {
    const list = tags.get(project_id);
    if (list) list.push(name);
    else tags.set(project_id, [name]);
  }
  return tags;
}
