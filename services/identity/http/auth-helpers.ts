import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { refused } from "../errors.ts";
import { catalogFor } from "../store/catalog.ts";
import { assignmentsOfUser, domainsOfUser, projectsOfUser } from "../store/effective-roles.ts";
import { findProject, tagsOf } from "../store/projects.ts";
import { wholeList } from "./members.ts";
import { projectViews } from "./projects.ts";
import { domainView } from "./views.ts";

/** What a token may be used for, asked by its owner. */
export function authHelperRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;
  return [
    route({
      name: "auth.catalog",
      method: "GET",
      path: "/auth/catalog",
      policy: "identity:get_auth_catalog",
      async handler(request) {
        request.authorize("identity:get_auth_catalog");
        const { userId, projectId, domainId } = request.context;
        if (projectId === null) throw refused("A project-scoped token is needed to see the catalog.");
        const catalog = await catalogFor(store.read, { userId, projectId, domainId });
        return wholeList(request, "catalog", catalog);
      },
    }),
    route({
      name: "auth.projects",
      method: "GET",
      path: "/auth/projects",
      policy: "identity:get_auth_projects",
      async handler(request) {
        request.authorize("identity:get_auth_projects");
        const rows = (await projectsOfUser(store.read, request.context.userId)).filter((row) => row.enabled);
        const usable = [];
        for (const row of rows) {
          const domain = row.domain_id === null ? row : await findProject(store.read, row.domain_id);
          if (domain?.enabled) usable.push(row);
        }
        return wholeList(request, "projects", await projectViews(request, store.read, usable));
      },
    }),
    route({
      name: "auth.domains",
      method: "GET",
      path: "/auth/domains",
      policy: "identity:get_auth_domains",
      async handler(request) {
        request.authorize("identity:get_auth_domains");
        const rows = (await domainsOfUser(store.read, request.context.userId)).filter((row) => row.enabled);
        const tags = await tagsOf(
          store.read,
          rows.map((row) => row.id),
        );
        return wholeList(
          request,
          "domains",
          rows.map((row) => domainView(request, row, tags.get(row.id) ?? [])),
        );
      },
    }),
    route({
      name: "auth.system",
      method: "GET",
      path: "/auth/system",
      policy: "identity:get_auth_system",
      async handler(request) {
        request.authorize("identity:get_auth_system");
        const assignments = await assignmentsOfUser(store.read, request.context.userId);
        const system = assignments.some((row) => row.scope === "system") ? [{ all: true }] : [];
        return { body: { system, links: { self: request.urls.self("/auth/system") } } };
      },
    }),
  ];
}
