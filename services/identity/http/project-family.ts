import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { invalid } from "../errors.ts";
import { assignmentsOfUser } from "../store/effective-roles.ts";
import { ancestorsOf, descendantsOf } from "../store/projects.ts";
import type { ProjectRow } from "../store/tables.ts";
import { queryFlag } from "./list-query.ts";
import { projectView } from "./views.ts";

/** Ids below (or above) a project, nested; null where it ends. */
interface IdTree {
  [id: string]: IdTree | null;
}

/** `parents` and `subtree` of a shown project, as far as the query asks for them. */
export async function projectFamily(
  request: ApiRequest,
  queries: Queries,
  project: ProjectRow,
): Promise<{ parents?: unknown; subtree?: unknown }> {
  const asked = (name: string) => queryFlag(request.rawQuery[name]) ?? false;
  const parentsList = asked("parents_as_list");
  const parentsIds = asked("parents_as_ids");
  const subtreeList = asked("subtree_as_list");
  const subtreeIds = asked("subtree_as_ids");
  if (parentsList && parentsIds) throw invalid("Cannot use parents_as_list and parents_as_ids together.");
  if (subtreeList && subtreeIds) throw invalid("Cannot use subtree_as_list and subtree_as_ids together.");
  const above = parentsList || parentsIds ? await ancestorsOf(queries, project) : [];
  const below = subtreeList || subtreeIds ? await descendantsOf(queries, [project.id]) : [];
  const visible = parentsList || subtreeList ? await projectsWithRole(request, queries) : new Set<string>();
  const listed = (rows: readonly ProjectRow[]) =>
    rows.filter((row) => visible.has(row.id)).map((row) => ({ project: projectView(request, row, []) }));
  return {
    ...(parentsList ? { parents: listed(above) } : {}),
    ...(parentsIds ? { parents: chain(above) } : {}),
    ...(subtreeList ? { subtree: listed(below) } : {}),
    ...(subtreeIds ? { subtree: tree(project.id, below) } : {}),
  };
}

/** The lists show only projects on which the caller has a role. */
async function projectsWithRole(request: ApiRequest, queries: Queries): Promise<Set<string>> {
  const assignments = await assignmentsOfUser(queries, request.context.userId);
  return new Set(assignments.flatMap((row) => (row.scope === "project" && row.target_id ? row.target_id : [])));
}

function chain(above: readonly ProjectRow[]): IdTree | null {
  return above.reduceRight<IdTree | null>((rest, row) => ({ [row.id]: rest }), null);
}

function tree(id: string, below: readonly ProjectRow[]): IdTree | null {
  const children = below.filter((row) => row.parent_id === id);
  if (children.length === 0) return null;
  return Object.fromEntries(children.map((child) => [child.id, tree(child.id, below)]));
}
