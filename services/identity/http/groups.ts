import { sql } from "kysely";
import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { invalid } from "../errors.ts";
import { findDomain } from "../store/projects.ts";
import type { GroupRow, IdentityTables } from "../store/tables.ts";
import { findGroup, findUser } from "../store/users.ts";
import { EVERYONE } from "../tokens/revocations.ts";
import { ResourceId, ShortName, Text } from "./fields.ts";
import { conditions, type Filters } from "./list-query.ts";
import {
  authorizeOn,
  checkSameId,
  demand,
  extrasOf,
  ListQuery,
  listedDomain,
  listTable,
  mergedExtra,
  ownDomainOnly,
} from "./members.ts";
import { groupView } from "./views.ts";

const KNOWN = ["name", "domain_id", "description"];

const filters: Filters = {
  domain_id: { kind: "text", column: "domain_id" },
  name: { kind: "name", column: "name_key" },
};

export function groupRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<GroupRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "group", row: await findGroup(store.read, id), id });
  };

  return [
    route({
      name: "groups.list",
      method: "GET",
      path: "/groups",
      policy: "identity:list_groups",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_groups", listedDomain(request));
        return listTable(request, identity.answers, {
          table: "identity_groups",
          collection: "groups",
          where: () => [...conditions(request.rawQuery, filters), ...ownDomainOnly(request)],
          view: (rows) => rows.map((row) => groupView(request, row)),
        });
      },
    }),
    route({
      name: "groups.create",
      method: "POST",
      path: "/groups",
      policy: "identity:create_group",
      success: 201,
      body: Type.Object({
        group: Type.Object({
          name: ShortName,
          domain_id: Type.Optional(ResourceId),
          description: Type.Optional(Text),
        }),
      }),
      async handler(request) {
        const { group } = request.body;
        const domainId = group.domain_id ?? request.context.domainId ?? "default";
        request.authorize("identity:create_group", { target: { group: { domain_id: domainId } } });
        if (!(await findDomain(store.read, domainId))) throw invalid(`Could not find domain: ${domainId}.`);
        const row: GroupRow = {
          id: ids.hex(),
          name: group.name,
          name_key: group.name.toLowerCase(),
          domain_id: domainId,
          description: group.description ?? "",
          extra: JSON.stringify(extrasOf(group, KNOWN)),
        };
        await identity.change((t) => t.tables<IdentityTables>().insertInto("identity_groups").values(row).execute());
        return { body: { group: groupView(request, row) } };
      },
    }),
    route({
      name: "groups.show",
      method: "GET",
      path: "/groups/:id",
      policy: "identity:get_group",
      async handler(request) {
        return { body: { group: groupView(request, await authorized(request, "identity:get_group")) } };
      },
    }),
    route({
      name: "groups.update",
      method: "PATCH",
      path: "/groups/:id",
      policy: "identity:update_group",
      body: Type.Object({
        group: Type.Object({
          name: Type.Optional(ShortName),
          domain_id: Type.Optional(ResourceId),
          description: Type.Optional(Text),
        }),
      }),
      async handler(request) {
        const row = await authorized(request, "identity:update_group");
        const { group } = request.body;
        checkSameId(group, row.id);
        if (group.domain_id !== undefined && group.domain_id !== row.domain_id) {
          throw invalid("Cannot change the domain of a group.");
        }
        await identity.change((t) =>
          t
            .tables<IdentityTables>()
            .updateTable("identity_groups")
            .set({
              ...(group.name === undefined ? {} : { name: group.name, name_key: group.name.toLowerCase() }),
              ...(group.description === undefined ? {} : { description: group.description ?? "" }),
              extra: mergedExtra(row.extra, extrasOf(group, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute(),
        );
        return { body: { group: groupView(request, demand(await findGroup(store.read, row.id), "group", row.id)) } };
      },
    }),
    route({
      name: "groups.delete",
      method: "DELETE",
      path: "/groups/:id",
      policy: "identity:delete_group",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_group");
        await identity.revoke(async (t, revoked) => {
          await t.tables<IdentityTables>().deleteFrom("identity_groups").where("id", "=", row.id).execute();
          revoked.push({ kind: "roles", subject: EVERYONE });
        });
        return undefined;
      },
    }),
    route({
      name: "users.groups",
      method: "GET",
      path: "/users/:id/groups",
      policy: "identity:list_groups_for_user",
      query: ListQuery,
      async handler(request) {
        const id = request.param("id");
        const user = await findUser(store.read, id);
        const row = authorizeOn(request, "identity:list_groups_for_user", { kind: "user", row: user, id });
        return await listTable(request, identity.answers, {
          table: "identity_groups",
          collection: "groups",
          where: () => [
            ...conditions(request.rawQuery, filters),
            sql`id IN (SELECT group_id FROM identity_memberships WHERE user_id = ${row.id})`,
          ],
          view: (rows) => rows.map((each) => groupView(request, each)),
        });
      },
    }),
  ];
}
