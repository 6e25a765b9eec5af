import { type SqlBool, sql } from "kysely";
import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { createProject, deleteProject, updateProject } from "../store/project-writes.ts";
import { findDomain } from "../store/projects.ts";
import type { ProjectRow } from "../store/tables.ts";
import { ShortName } from "./fields.ts";
import { conditions, type Filters } from "./list-query.ts";
import { authorizeOn, checkMutable, checkSameId, demand, ListQuery, listTable, ownDomainOnly } from "./members.ts";
import { changedFields, newFields, sharedAttributes, withTags } from "./project-fields.ts";
import { domainView } from "./views.ts";

const KNOWN = ["name", "explicit_domain_id", ...Object.keys(sharedAttributes)];

const filters: Filters = {
  name: { kind: "name", column: "name_key" },
  enabled: { kind: "boolean", column: "enabled" },
};

export function domainRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<ProjectRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "domain", row: await findDomain(store.read, id), id });
  };

  const views = (request: ApiRequest, q: Queries, rows: readonly ProjectRow[]) =>
    withTags(q, rows, (row, tags) => domainView(request, row, tags));

  return [
    route({
      name: "domains.list",
      method: "GET",
      path: "/domains",
      policy: "identity:list_domains",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_domains", { target: { domain: { id: request.context.domainId } } });
        return listTable(request, identity.answers, {
          table: "identity_projects",
          collection: "domains",
          where: () => [
            sql<SqlBool>`is_domain = 1`,
            ...conditions(request.rawQuery, filters),
            ...ownDomainOnly(request, "id"),
          ],
          view: (rows, q) => views(request, q, rows),
        });
      },
    }),
    route({
      name: "domains.create",
      method: "POST",
      path: "/domains",
      policy: "identity:create_domain",
      success: 201,
      body: Type.Object({
        domain: Type.Object({
          name: ShortName,
          explicit_domain_id: Type.Optional(Type.String({ pattern: "^[0-9a-fA-F]{32}$" })),
          ...sharedAttributes,
        }),
      }),
      async handler(request) {
        request.authorize("identity:create_domain");
        const { domain } = request.body;
        const row = await identity.change((t) =>
          createProject(t, {
            id: domain.explicit_domain_id ?? ids.hex(),
            domainId: null,
            parentId: null,
            ...newFields(domain, KNOWN),
          }),
        );
        return { body: { domain: domainView(request, row, (domain.tags ?? []).toSorted()) } };
      },
    }),
    route({
      name: "domains.show",
      method: "GET",
      path: "/domains/:id",
      policy: "identity:get_domain",
      async handler(request) {
        const [domain] = await views(request, store.read, [await authorized(request, "identity:get_domain")]);
        return { body: { domain } };
      },
    }),
    route({
      name: "domains.update",
      method: "PATCH",
      path: "/domains/:id",
      policy: "identity:update_domain",
      body: Type.Object({ domain: Type.Object({ name: Type.Optional(ShortName), ...sharedAttributes }) }),
      async handler(request) {
        const row = await authorized(request, "identity:update_domain");
        const { domain } = request.body;
        checkSameId(domain, row.id);
        checkMutable("domain", row, domain);
        await identity.revoke((t, revoked) => updateProject(t, revoked, row, changedFields(row, domain, KNOWN)));
        const updated = demand(await findDomain(store.read, row.id), "domain", row.id);
        const [view] = await views(request, store.read, [updated]);
        return { body: { domain: view } };
      },
    }),
    route({
      name: "domains.delete",
      method: "DELETE",
      path: "/domains/:id",
      policy: "identity:delete_domain",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_domain");
        checkMutable("domain", row);
        await identity.revoke((t, revoked) => deleteProject(t, revoked, row));
        return undefined;
      },
    }),
  ];
}
