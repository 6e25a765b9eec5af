import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { notFound, refused } from "../errors.ts";
import { readRoleGraph } from "../store/effective-roles.ts";
import { findRole, findRoles } from "../store/roles.ts";
import type { IdentityTables, RoleRow } from "../store/tables.ts";
import { EVERYONE } from "../tokens/revocations.ts";
import { authorizeOn, demand } from "./members.ts";

export function impliedRoleRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;

  const prior = async (request: ApiRequest, rule: string): Promise<RoleRow> => {
    const id = request.param("prior");
    return authorizeOn(request, rule, { kind: "role", row: await findRole(store.read, id), id });
  };

  const pair = async (request: ApiRequest, rule: string) => {
    const first = await prior(request, rule);
    const id = request.param("implied");
    return { prior: first, implied: demand(await findRole(store.read, id), "role", id) };
  };

  const demandPair = async (request: ApiRequest, rule: string) => {
    const found = await pair(request, rule);
    const graph = await readRoleGraph(store.read);
    if (!graph.get(found.prior.id)?.includes(found.implied.id)) throw notFound("implied role", found.implied.id);
    return found;
  };

  const view = (request: ApiRequest, roles: { prior: RoleRow; implied: RoleRow }) => ({
    role_inference: { prior_role: brief(request, roles.prior), implies: brief(request, roles.implied) },
    links: { self: request.urls.self(`/roles/${roles.prior.id}/implies/${roles.implied.id}`) },
  });

  return [
    route({
      name: "roles.implies.list",
      method: "GET",
      path: "/roles/:prior/implies",
      policy: "identity:list_implied_roles",
      async handler(request) {
        const role = await prior(request, "identity:list_implied_roles");
        const implied = await findRoles(store.read, (await readRoleGraph(store.read)).get(role.id) ?? []);
        return {
          body: {
            role_inference: {
              prior_role: brief(request, role),
              implies: implied.map((each) => brief(request, each)),
            },
            links: { self: request.urls.self(`/roles/${role.id}/implies`) },
          },
        };
      },
    }),
    route({
      name: "roles.implies.create",
      method: "PUT",
      path: "/roles/:prior/implies/:implied",
      policy: "identity:create_implied_role",
      success: 201,
      async handler(request) {
        const roles = await pair(request, "identity:create_implied_role");
        if (roles.implied.name_key === "admin") throw refused("The role admin cannot be implied.");
        if (roles.prior.domain_id === null && roles.implied.domain_id !== null) {
          throw refused("A global role cannot imply a role of a domain.");
        }
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .insertInto("identity_implied_roles")
            .values({ prior_role_id: roles.prior.id, implied_role_id: roles.implied.id })
            .onConflict((c) => c.doNothing())
            .execute();
          revoked.push({ kind: "roles", subject: EVERYONE });
        });
        return { body: view(request, roles) };
      },
    }),
    route({
      name: "roles.implies.show",
      method: "GET",
      path: "/roles/:prior/implies/:implied",
      policy: "identity:get_implied_role",
      async handler(request) {
        return { body: view(request, await demandPair(request, "identity:get_implied_role")) };
      },
    }),
    route({
      name: "roles.implies.check",
      method: "HEAD",
      path: "/roles/:prior/implies/:implied",
      policy: "identity:check_implied_role",
      success: 204,
      async handler(request) {
        await demandPair(request, "identity:check_implied_role");
        return undefined;
      },
    }),
    route({
      name: "roles.implies.delete",
      method: "DELETE",
      path: "/roles/:prior/implies/:implied",
      policy: "identity:delete_implied_role",
      success: 204,
      async handler(request) {
        const roles = await demandPair(request, "identity:delete_implied_role");
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .deleteFrom("identity_implied_roles")
            .where("prior_role_id", "=", roles.prior.id)
            .where("implied_role_id", "=", roles.implied.id)
            .execute();
          revoked.push({ kind: "roles", subject: EVERYONE });
        });
        return undefined;
      },
    }),
    route({
      name: "roles.inferences",
      method: "GET",
      path: "/role_inferences",
      policy: "identity:list_role_inference_rules",
      async handler(request) {
        request.authorize("identity:list_role_inference_rules");
        const graph = await readRoleGraph(store.read);
        const ids = new Set([...graph.keys(), ...[...graph.values()].flat()]);
        const roles = new Map((await findRoles(store.read, [...ids])).map((role) => [role.id, brief(request, role)]));
        const inferences = [...graph].map(([id, implied]) => ({
          prior_role: roles.get(id),
          implies: implied.map((each) => roles.get(each)),
        }));
        return { body: { role_inferences: inferences, links: { self: request.urls.self("/role_inferences") } } };
      },
    }),
  ];
}

function brief(request: ApiRequest, role: RoleRow) {
  return {
    id: role.id,
    name: role.name,
    description: role.description,
    links: { self: request.urls.self(`/roles/${role.id}`) },
  };
}
