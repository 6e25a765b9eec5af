import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { notFound, refused } from "../errors.ts";
import { type AssignmentKey, addAssignment, hasAssignment, removeAssignment, rolesAssigned } from "../store/grants.ts";
import { findDomain, findProject } from "../store/projects.ts";
import { findRole } from "../store/roles.ts";
import { findGroup, findUser } from "../store/users.ts";
import { demand, wholeList } from "./members.ts";
import { roleView } from "./views.ts";

type Actor = "user" | "group";
type Target = "project" | "domain";

/** The path of a family of grants: `/projects/:target/users/:actor/roles`, and the inherited ones under OS-INHERIT. */
interface Family {
  readonly target: Target;
  readonly actor: Actor;
  readonly inherited: boolean;
}

const FAMILIES: readonly Family[] = (["project", "domain"] as const).flatMap((target) =>
  (["user", "group"] as const).flatMap((actor) =>
    [false, true].map((inherited): Family => ({ target, actor, inherited })),
  ),
);

/** Roles of users and groups on projects and domains. */
export function grantRoutes(identity: IdentityContext): Route[] {
  return FAMILIES.flatMap((family) => familyRoutes(identity, family));
}

function familyRoutes(identity: IdentityContext, family: Family): Route[] {
  const { store } = identity.kernel;
  const plain = `/${family.target}s/:target/${family.actor}s/:actor/roles`;
  const all = family.inherited ? `/OS-INHERIT${plain}/inherited_to_projects` : plain;
  const one = family.inherited ? `/OS-INHERIT${plain}/:role/inherited_to_projects` : `${plain}/:role`;
  const name = (verb: string) =>
    `grants.${family.target}.${family.actor}.${family.inherited ? "inherited." : ""}${verb}`;

  /** Everything a grant speaks of, once the policy allowed it. */
  const authorized = async (request: ApiRequest, rule: string) => {
    const parts = await readParts(identity, family, request);
    request.authorize(rule, { target: parts.policyTarget });
    const target = demand(parts.target, family.target, request.param("target"));
    const actor = demand(parts.actor, family.actor, request.param("actor"));
    const role = request.param("role") === "" ? undefined : demand(parts.role, "role", request.param("role"));
    const key: AssignmentKey = {
      userId: family.actor === "user" ? actor.id : null,
      groupId: family.actor === "group" ? actor.id : null,
      scope: family.target,
      targetId: target.id,
      inherited: family.inherited,
    };
    return { target, role, key };
  };

  const oneGrant = async (request: ApiRequest, rule: string) => {
    const { target, role, key } = await authorized(request, rule);
    return { target, key, role: demand(role, "role", request.param("role")) };
  };

  return [
    route({
      name: name("list"),
      method: "GET",
      path: all,
      policy: "identity:list_grants",
      async handler(request) {
        const { key } = await authorized(request, "identity:list_grants");
        const roles = await rolesAssigned(store.read, key);
        return wholeList(
          request,
          "roles",
          roles.map((role) => roleView(request, role)),
        );
      },
    }),
    route({
      name: name("check"),
      method: "GET",
      path: one,
      policy: "identity:check_grant",
      success: 204,
      async handler(request) {
        const { key, role } = await oneGrant(request, "identity:check_grant");
        if (!(await hasAssignment(store.read, key, role.id))) throw notFound("role assignment", role.id);
        return undefined;
      },
    }),
    route({
      name: name("create"),
      method: "PUT",
      path: one,
      policy: "identity:create_grant",
      success: 204,
      async handler(request) {
        const { key, role, target } = await oneGrant(request, "identity:create_grant");
        if (role.domain_id !== null && role.domain_id !== (target.domain_id ?? target.id)) {
          throw refused("A role of a domain can be granted in that domain only.");
        }
        await identity.revoke((t, revoked) => addAssignment(t, revoked, key, role.id));
        return undefined;
      },
    }),
    route({
      name: name("delete"),
      method: "DELETE",
      path: one,
      policy: "identity:revoke_grant",
      success: 204,
      async handler(request) {
        const { key, role } = await oneGrant(request, "identity:revoke_grant");
        await identity.revoke((t, revoked) => removeAssignment(t, revoked, key, role.id));
        return undefined;
      },
    }),
  ];
}

async function readParts(identity: IdentityContext, family: Family, request: ApiRequest) {
  const queries = identity.kernel.store.read;
  const targetId = request.param("target");
  const target = await (family.target === "project" ? findProject(queries, targetId) : findDomain(queries, targetId));
  const actorId = request.param("actor");
  const actor = await (family.actor === "user" ? findUser(queries, actorId) : findGroup(queries, actorId));
  const role = request.param("role") === "" ? undefined : await findRole(queries, request.param("role"));
  const policyTarget = {
    [family.target]: target,
    [family.actor]: actor,
    // A list of grants names no role, which then restricts nothing.
    role: role ?? { domain_id: null },
    actor_domain_id: actor?.domain_id,
    scope_domain_id: target?.domain_id ?? target?.id,
  };
  return { target, actor, role, policyTarget };
}
