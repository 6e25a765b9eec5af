import { type RawBuilder, type SqlBool, sql } from "kysely";
import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { invalid, refused } from "../errors.ts";
import { createProject, deleteProject, updateProject } from "../store/project-writes.ts";
import { findProject } from "../store/projects.ts";
import type { ProjectRow } from "../store/tables.ts";
import { OptionalId, ShortName } from "./fields.ts";
import { conditions, type Filters, queryFlag, queryText } from "./list-query.ts";
import {
  authorizeOn,
  checkMutable,
  checkSameId,
  demand,
  ListQuery,
  listedDomain,
  listTable,
  ownDomainOnly,
} from "./members.ts";
import { projectFamily } from "./project-family.ts";
import { changedFields, newFields, sharedAttributes, withTags } from "./project-fields.ts";
import { projectView } from "./views.ts";

const attributes = {
  domain_id: Type.Optional(OptionalId),
  parent_id: Type.Optional(OptionalId),
  is_domain: Type.Optional(Type.Boolean()),
  ...sharedAttributes,
};
const KNOWN = ["name", ...Object.keys(attributes)];

const filters: Filters = {
  domain_id: { kind: "text", column: "domain_id" },
  parent_id: { kind: "text", column: "parent_id" },
  name: { kind: "name", column: "name_key" },
  enabled: { kind: "boolean", column: "enabled" },
};

export function projectRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  return [
    route({
      name: "projects.list",
      method: "GET",
      path: "/projects",
      policy: "identity:list_projects",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_projects", listedDomain(request));
        const domains = queryFlag(request.rawQuery.is_domain) ?? false;
        return listTable(request, identity.answers, {
          table: "identity_projects",
          collection: "projects",
          where: () => [
            sql<SqlBool>`is_domain = ${domains ? 1 : 0}`,
            ...conditions(request.rawQuery, filters),
            ...tagConditions(request),
            ...ownDomainOnly(request, domains ? "id" : "domain_id"),
          ],
          view: (rows, q) => projectViews(request, q, rows),
        });
      },
    }),
    route({
      name: "projects.create",
      method: "POST",
      path: "/projects",
      policy: "identity:create_project",
      success: 201,
      body: Type.Object({ project: Type.Object({ name: ShortName, ...attributes }) }),
      async handler(request) {
        const { project } = request.body;
        const parent = project.parent_id ? await findProject(store.read, project.parent_id) : undefined;
        const domainId = project.is_domain
          ? null
          : (project.domain_id ?? parent?.domain_id ?? parent?.id ?? request.context.domainId ?? "default");
        request.authorize("identity:create_project", { target: { project: { domain_id: domainId } } });
        const row = await identity.change((t) =>
          createProject(t, {
            id: ids.hex(),
            domainId,
            parentId: project.parent_id ?? domainId,
            ...newFields(project, KNOWN),
          }),
        );
        return { body: { project: projectView(request, row, (project.tags ?? []).toSorted()) } };
      },
    }),
    route({
      name: "projects.show",
      method: "GET",
      path: "/projects/:id",
      policy: "identity:get_project",
      async handler(request) {
        const row = await authorizedProject(request, "identity:get_project", store.read);
        const [view] = await projectViews(request, store.read, [row]);
        return { body: { project: { ...view, ...(await projectFamily(request, store.read, row)) } } };
      },
    }),
    route({
      name: "projects.update",
      method: "PATCH",
      path: "/projects/:id",
      policy: "identity:update_project",
      body: Type.Object({ project: Type.Object({ name: Type.Optional(ShortName), ...attributes }) }),
      async handler(request) {
        const row = await authorizedProject(request, "identity:update_project", store.read);
        const { project } = request.body;
        checkSameId(project, row.id);
        checkMutable("project", row, project);
        if (project.domain_id !== undefined && project.domain_id !== row.domain_id) {
          throw invalid("Cannot change the domain of a project.");
        }
        if (project.parent_id !== undefined && project.parent_id !== row.parent_id) {
          throw refused("Cannot change the parent of a project.");
        }
        if (project.is_domain !== undefined && project.is_domain !== (row.is_domain === 1)) {
          throw invalid("Cannot turn a project into a domain or back.");
        }
        await identity.revoke((t, revoked) => updateProject(t, revoked, row, changedFields(row, project, KNOWN)));
        const updated = demand(await findProject(store.read, row.id), "project", row.id);
        const [view] = await projectViews(request, store.read, [updated]);
        return { body: { project: view } };
      },
    }),
    route({
      name: "projects.delete",
      method: "DELETE",
      path: "/projects/:id",
      policy: "identity:delete_project",
      success: 204,
      async handler(request) {
        const row = await authorizedProject(request, "identity:delete_project", store.read);
        checkMutable("project", row);
        await identity.revoke((t, revoked) => deleteProject(t, revoked, row));
        return undefined;
      },
    }),
  ];
}

/** The project of the path, once the policy allowed it. */
export async function authorizedProject(request: ApiRequest, rule: string, queries: Queries): Promise<ProjectRow> {
  const id = request.param("id");
  return authorizeOn(request, rule, { kind: "project", row: await findProject(queries, id), id });
}

export async function projectViews(request: ApiRequest, queries: Queries, rows: readonly ProjectRow[]) {
  return await withTags(queries, rows, (row, tags) => projectView(request, row, tags));
}

/** `tags` (all of them), `tags-any`, and their opposites `not-tags`, `not-tags-any`. */
function tagConditions(request: ApiRequest): RawBuilder<SqlBool>[] {
  const found: RawBuilder<SqlBool>[] = [];
  const add = (parameter: string, make: (count: RawBuilder<number>, wanted: number) => RawBuilder<SqlBool>) => {
    const text = queryText(request.rawQuery[parameter]);
    if (text === undefined) return;
    const names = [...new Set(text.split(","))];
    const count = sql<number>`(SELECT count(*) FROM identity_project_tags AS tag
      WHERE tag.project_id = identity_projects.id AND tag.name IN (${sql.join(names)}))`;
    found.push(make(count, names.length));
  };
  add("tags", (count, wanted) => sql`${count} = ${wanted}`);
  add("tags-any", (count) => sql`${count} > 0`);
  add("not-tags", (count, wanted) => sql`${count} < ${wanted}`);
  add("not-tags-any", (count) => sql`${count} = 0`);
  return found;
}
