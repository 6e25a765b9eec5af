import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { notFound, refused } from "../errors.ts";
import { type AssignmentKey, addAssignment, hasAssignment, removeAssignment, rolesAssigned } from "../store/grants.ts";
import { findRole } from "../store/roles.ts";
import type { RoleRow } from "../store/tables.ts";
import { findGroup, findUser } from "../store/users.ts";
import { demand, wholeList } from "./members.ts";
import { roleView } from "./views.ts";

/** Roles on the system as a whole. */
export function systemGrantRoutes(identity: IdentityContext): Route[] {
  return (["user", "group"] as const).flatMap((actor) => actorRoutes(identity, actor));
}

function actorRoutes(identity: IdentityContext, actor: "user" | "group"): Route[] {
  const { store } = identity.kernel;
  const all = `/system/${actor}s/:actor/roles`;
  const rule = (verb: string) => `identity:${verb}_system_grant${verb === "list" ? "s" : ""}_for_${actor}`;

  const keyOf = async (request: ApiRequest): Promise<AssignmentKey> => {
    const id = request.param("actor");
    const row = await (actor === "user" ? findUser(store.read, id) : findGroup(store.read, id));
    demand(row, actor, id);
    return {
      userId: actor === "user" ? id : null,
      groupId: actor === "group" ? id : null,
      scope: "system",
      targetId: null,
      inherited: false,
    };
  };

  const roleOf = async (request: ApiRequest): Promise<RoleRow> => {
    const id = request.param("role");
    return demand(await findRole(store.read, id), "role", id);
  };

  return [
    route({
      name: `grants.system.${actor}.list`,
      method: "GET",
      path: all,
      policy: rule("list"),
      async handler(request) {
        request.authorize(rule("list"));
        const roles = await rolesAssigned(store.read, await keyOf(request));
        return wholeList(
          request,
          "roles",
          roles.map((role) => roleView(request, role)),
        );
      },
    }),
    route({
      name: `grants.system.${actor}.check`,
      method: "GET",
      path: `${all}/:role`,
      policy: rule("check"),
      success: 204,
      async handler(request) {
        request.authorize(rule("check"));
        const role = await roleOf(request);
        if (!(await hasAssignment(store.read, await keyOf(request), role.id))) {
          throw notFound("role assignment", role.id);
        }
        return undefined;
      },
    }),
    route({
      name: `grants.system.${actor}.create`,
      method: "PUT",
      path: `${all}/:role`,
      policy: rule("create"),
      success: 204,
      async handler(request) {
        request.authorize(rule("create"));
        const key = await keyOf(request);
        const role = await roleOf(request);
        if (role.domain_id !== null) throw refused("A role of a domain cannot be granted on the system.");
        await identity.revoke((t, revoked) => addAssignment(t, revoked, key, role.id));
        return undefined;
      },
    }),
    route({
      name: `grants.system.${actor}.delete`,
      method: "DELETE",
      path: `${all}/:role`,
      policy: rule("revoke"),
      success: 204,
      async handler(request) {
        request.authorize(rule("revoke"));
        const key = await keyOf(request);
        const role = await roleOf(request);
        await identity.revoke((t, revoked) => removeAssignment(t, revoked, key, role.id));
        return undefined;
      },
    }),
  ];
}
