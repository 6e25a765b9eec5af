import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { invalid } from "../errors.ts";
import { descendantsOf, findProject } from "../store/projects.ts";
import {
  type Assignment,
  type AssignmentFilter,
  directAssignments,
  effectiveAssignments,
} from "../store/role-assignments.ts";
import type { IdentityTables } from "../store/tables.ts";
import { queryFlag, queryText } from "./list-query.ts";
import { wholeList } from "./members.ts";

export function roleAssignmentRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;
  return [
    route({
      name: "roleAssignments.list",
      method: "GET",
      path: "/role_assignments",
      policy: ["identity:list_role_assignments", "identity:list_role_assignments_for_tree"],
      async handler(request) {
        const { filter, effective, includeNames } = await readQuery(request, store.read);
        const found = effective
          ? await effectiveAssignments(store.read, filter)
          : await directAssignments(store.read, filter);
        const names = await Names.read(store.read);
        const visible = found.filter((each) => inOwnDomain(request, names, each));
        return wholeList(
          request,
          "role_assignments",
          visible.map((each) => assignmentView(request, each, includeNames ? names : undefined)),
        );
      },
    }),
  ];
}

/** Checks the parameters against each other, asks the policy, and tells what is wanted. */
async function readQuery(request: ApiRequest, queries: Queries) {
  const { rawQuery } = request;
  const userId = queryText(rawQuery["user.id"]);
  const groupId = queryText(rawQuery["group.id"]);
  const projectId = queryText(rawQuery["scope.project.id"]);
  const domainId = queryText(rawQuery["scope.domain.id"]);
  const system = queryText(rawQuery["scope.system"]);
  const effective = queryFlag(rawQuery.effective) ?? false;
  const subtree = queryFlag(rawQuery.include_subtree) ?? false;
  if (userId && groupId) throw invalid("Specify a user or group, not both.");
  if ([projectId, domainId, system].filter((scope) => scope !== undefined).length > 1) {
    throw invalid("Specify a project, a domain or the system, not several of them.");
  }
  if (effective && groupId) throw invalid("Effective assignments have users only: group.id cannot be given.");
  if (subtree && !projectId) throw invalid("include_subtree needs scope.project.id.");
  const project = projectId === undefined ? undefined : await findProject(queries, projectId);
  if (subtree) request.authorize("identity:list_role_assignments_for_tree", { target: { project } });
  else {
    const target = { domain_id: domainId ?? project?.domain_id ?? request.context.domainId };
    request.authorize("identity:list_role_assignments", { target });
  }
  const below = subtree && projectId !== undefined ? await descendantsOf(queries, [projectId]) : [];
  const targetId = projectId ?? domainId;
  const filter: AssignmentFilter = {
    userId,
    groupId,
    roleId: queryText(rawQuery["role.id"]),
    scope: projectId !== undefined ? "project" : domainId !== undefined ? "domain" : system ? "system" : undefined,
    targetIds: targetId === undefined ? undefined : [targetId, ...below.map((row) => row.id)],
    inheritedOnly: rawQuery["scope.OS-INHERIT:inherited_to"] !== undefined,
  };
  return { filter, effective, includeNames: queryFlag(rawQuery.include_names) ?? false };
}

/** A domain-scoped token sees only what was granted in its domain. */
function inOwnDomain(request: ApiRequest, names: Names, each: Assignment): boolean {
  const { domainId } = request.context;
  if (domainId === null) return true;
  return each.targetId !== null && (names.domainOf(each.targetId) ?? each.targetId) === domainId;
}

function assignmentView(request: ApiRequest, each: Assignment, names: Names | undefined) {
  const { origin } = each;
  return {
    role: names?.role(each.roleId) ?? { id: each.roleId },
    ...(each.userId === null ? {} : { user: names?.user(each.userId) ?? { id: each.userId } }),
    ...(each.groupId === null ? {} : { group: names?.group(each.groupId) ?? { id: each.groupId } }),
    scope: {
      ...scopeView(each, names),
      ...(origin.inherited ? { "OS-INHERIT:inherited_to": "projects" } : {}),
    },
    links: {
      assignment: request.urls.self(grantPath(each)),
      ...(origin.group_id !== null && each.userId !== null
        ? { membership: request.urls.self(`/groups/${origin.group_id}/users/${each.userId}`) }
        : {}),
      ...(origin.role_id === each.roleId ? {} : { prior_role: request.urls.self(`/prior_role/${origin.role_id}`) }),
    },
  };
}

function scopeView(each: Assignment, names: Names | undefined): Record<string, unknown> {
  const id = each.targetId;
  if (id === null) return { system: { all: true } };
  if (each.scope === "domain") return { domain: names?.domain(id) ?? { id } };
  return { project: names?.project(id) ?? { id } };
}

/** Where the grant behind an assignment lives. */
function grantPath({ origin }: Assignment): string {
  const actor = origin.user_id === null ? `groups/${origin.group_id}` : `users/${origin.user_id}`;
  const scope = origin.target_id === null ? "/system" : `/${origin.scope}s/${origin.target_id}`;
  const path = `${scope}/${actor}/roles/${origin.role_id}`;
  return origin.inherited ? `/OS-INHERIT${path}/inherited_to_projects` : path;
}

interface Named {
  readonly name: string;
  readonly domain_id: string | null;
}

/** Names of everything that assignments speak of. */
class Names {
  readonly #projects: ReadonlyMap<string, Named>;
  readonly #users: ReadonlyMap<string, Named>;
  readonly #groups: ReadonlyMap<string, Named>;
  readonly #roles: ReadonlyMap<string, Named>;

  private constructor(tables: readonly (readonly (Named & { id: string })[])[]) {
    const [projects, users, groups, roles] = tables.map((rows) => new Map(rows.map((row) => [row.id, row])));
    this.#projects = projects ?? new Map();
    this.#users = users ?? new Map();
    this.#groups = groups ?? new Map();
    this.#roles = roles ?? new Map();
  }

  static async read(queries: Queries): Promise<Names> {
    const db = queries.tables<IdentityTables>();
    return new Names([
      await db.selectFrom("identity_projects").select(["id", "name", "domain_id"]).execute(),
      await db.selectFrom("identity_users").select(["id", "name", "domain_id"]).execute(),
      await db.selectFrom("identity_groups").select(["id", "name", "domain_id"]).execute(),
      await db.selectFrom("identity_roles").select(["id", "name", "domain_id"]).execute(),
    ]);
  }

  domainOf(projectId: string): string | null {
    return this.#projects.get(projectId)?.domain_id ?? null;
  }

  domain(id: string) {
    return { id, name: this.#projects.get(id)?.name };
  }

  project(id: string) {
    return this.#withDomain(id, this.#projects);
  }

  user(id: string) {
    return this.#withDomain(id, this.#users);
  }

  group(id: string) {
    return this.#withDomain(id, this.#groups);
  }

  role(id: string) {
    return this.#withDomain(id, this.#roles);
  }

  #withDomain(id: string, rows: ReadonlyMap<string, Named>) {
    const row = rows.get(id);
    return { id, name: row?.name, ...(row?.domain_id ? { domain: this.domain(row.domain_id) } : {}) };
  }
}
