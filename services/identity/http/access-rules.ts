import { type SqlBool, sql } from "kysely";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { refused } from "../errors.ts";
import type { AccessRuleRow, IdentityTables } from "../store/tables.ts";
import { conditions, type Filters } from "./list-query.ts";
import { demand, ListQuery, listTable } from "./members.ts";
import { accessRuleView } from "./views.ts";

const filters: Filters = {
  path: { kind: "text", column: "path" },
  method: { kind: "text", column: "method" },
  service: { kind: "text", column: "service" },
};

/** The rules that a user's application credentials are limited to. */
export function accessRuleRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;
  const base = "/users/:user/access_rules";

  const authorize = (request: ApiRequest, rule: string) =>
    request.authorize(rule, { target: { user: { id: request.param("user") } } });

  const accessRule = async (request: ApiRequest): Promise<AccessRuleRow> => {
    const id = request.param("id");
    const row = await store.read
      .tables<IdentityTables>()
      .selectFrom("identity_access_rules")
      .selectAll()
      .where("id", "=", id)
      .where("user_id", "=", request.param("user"))
      .executeTakeFirst();
    return demand(row, "access rule", id);
  };

  return [
    route({
      name: "accessRules.list",
      method: "GET",
      path: base,
      policy: "identity:list_access_rules",
      query: ListQuery,
      handler(request) {
        authorize(request, "identity:list_access_rules");
        return listTable(request, identity.answers, {
          table: "identity_access_rules",
          collection: "access_rules",
          where: () => [sql<SqlBool>`user_id = ${request.param("user")}`, ...conditions(request.rawQuery, filters)],
          view: (rows) => rows.map((row) => accessRuleView(request, row)),
        });
      },
    }),
    route({
      name: "accessRules.show",
      method: "GET",
      path: `${base}/:id`,
      policy: "identity:get_access_rule",
      async handler(request) {
        authorize(request, "identity:get_access_rule");
        return { body: { access_rule: accessRuleView(request, await accessRule(request)) } };
      },
    }),
    route({
      name: "accessRules.delete",
      method: "DELETE",
      path: `${base}/:id`,
      policy: "identity:delete_access_rule",
      success: 204,
      async handler(request) {
        authorize(request, "identity:delete_access_rule");
        const { id } = await accessRule(request);
        await identity.change(async (t) => {
          const db = t.tables<IdentityTables>();
          const used = await db
            .selectFrom("identity_application_credential_rules")
            .select("rule_id")
            .where("rule_id", "=", id)
            .limit(1)
            .executeTakeFirst();
          if (used) throw refused("The access rule is used by an application credential.");
          await db.deleteFrom("identity_access_rules").where("id", "=", id).execute();
        });
        return undefined;
      },
    }),
  ];
}
