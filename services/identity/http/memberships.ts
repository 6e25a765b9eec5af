import { sql } from "kysely";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { notFound } from "../errors.ts";
import type { GroupRow, IdentityTables, UserRow } from "../store/tables.ts";
import { findGroup, findUser } from "../store/users.ts";
import { conditions, type Filters } from "./list-query.ts";
import { authorizeOn, demand, ListQuery, listTable } from "./members.ts";
import { userView } from "./views.ts";

const filters: Filters = {
  name: { kind: "name", column: "name_key" },
  enabled: { kind: "boolean", column: "enabled" },
};

/** Who is in a group. */
export function membershipRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<{ group: GroupRow; user: UserRow }> => {
    const group = await findGroup(store.read, request.param("id"));
    const user = await findUser(store.read, request.param("user"));
    request.authorize(rule, { target: { group, user } });
    return {
      group: demand(group, "group", request.param("id")),
      user: demand(user, "user", request.param("user")),
    };
  };

  const isMember = async (group: GroupRow, user: UserRow): Promise<boolean> => {
    const row = await store.read
      .tables<IdentityTables>()
      .selectFrom("identity_memberships")
      .select("user_id")
      .where("group_id", "=", group.id)
      .where("user_id", "=", user.id)
      .executeTakeFirst();
    return row !== undefined;
  };

  return [
    route({
      name: "groups.users.list",
      method: "GET",
      path: "/groups/:id/users",
      policy: "identity:list_users_in_group",
      query: ListQuery,
      async handler(request) {
        const id = request.param("id");
        const row = await findGroup(store.read, id);
        const group = authorizeOn(request, "identity:list_users_in_group", { kind: "group", row, id });
        return await listTable(request, identity.answers, {
          table: "identity_users",
          collection: "users",
          where: () => [
            ...conditions(request.rawQuery, filters),
            sql`id IN (SELECT user_id FROM identity_memberships WHERE group_id = ${group.id})`,
          ],
          view: (rows) => rows.map((each) => userView(request, each)),
        });
      },
    }),
    route({
      name: "groups.users.check",
      method: "GET",
      path: "/groups/:id/users/:user",
      policy: "identity:check_user_in_group",
      success: 204,
      async handler(request) {
        const { group, user } = await authorized(request, "identity:check_user_in_group");
        if (!(await isMember(group, user))) throw notFound("user in group", user.id);
        return undefined;
      },
    }),
    route({
      name: "groups.users.add",
      method: "PUT",
      path: "/groups/:id/users/:user",
      policy: "identity:add_user_to_group",
      success: 204,
      async handler(request) {
        const { group, user } = await authorized(request, "identity:add_user_to_group");
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .insertInto("identity_memberships")
            .values({ group_id: group.id, user_id: user.id })
            .onConflict((c) => c.doNothing())
            .execute();
          revoked.push({ kind: "roles", subject: user.id });
        });
        return undefined;
      },
    }),
    route({
      name: "groups.users.remove",
      method: "DELETE",
      path: "/groups/:id/users/:user",
      policy: "identity:remove_user_from_group",
      success: 204,
      async handler(request) {
        const { group, user } = await authorized(request, "identity:remove_user_from_group");
        if (!(await isMember(group, user))) throw notFound("user in group", user.id);
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .deleteFrom("identity_memberships")
            .where("group_id", "=", group.id)
            .where("user_id", "=", user.id)
            .execute();
          revoked.push({ kind: "roles", subject: user.id });
        });
        return undefined;
      },
    }),
  ];
}
