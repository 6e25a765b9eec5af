import { type SqlBool, sql } from "kysely";
import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { invalid } from "../errors.ts";
import { findDomain } from "../store/projects.ts";
import { findRole } from "../store/roles.ts";
import type { IdentityTables, RoleRow } from "../store/tables.ts";
import { EVERYONE } from "../tokens/revocations.ts";
import { LongName, OptionalId, Options, Text } from "./fields.ts";
import { conditions, type Filters, queryText } from "./list-query.ts";
import {
  authorizeOn,
  checkMutable,
  checkSameId,
  demand,
  extrasOf,
  ListQuery,
  listTable,
  mergedExtra,
  mergedOptions,
} from "./members.ts";
import { roleView } from "./views.ts";

const attributes = {
  domain_id: Type.Optional(OptionalId),
  description: Type.Optional(Text),
  options: Type.Optional(Options),
};
const KNOWN = ["name", ...Object.keys(attributes)];

const filters: Filters = {
  name: { kind: "name", column: "name_key" },
  domain_id: { kind: "text", column: "domain_id" },
};

export function roleRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  /** Roles of a domain have rules of their own: `update_domain_role` beside `update_role`. */
  const authorized = async (request: ApiRequest, verb: string): Promise<RoleRow> => {
    const id = request.param("id");
    const row = await findRole(store.read, id);
    const rule = row?.domain_id ? `identity:${verb}_domain_role` : `identity:${verb}_role`;
    return authorizeOn(request, rule, { kind: "role", row, id });
  };
  const rules = (verb: string) => [`identity:${verb}_role`, `identity:${verb}_domain_role`];

  return [
    route({
      name: "roles.list",
      method: "GET",
      path: "/roles",
      policy: ["identity:list_roles", "identity:list_domain_roles"],
      query: ListQuery,
      handler(request) {
        const domainId = queryText(request.rawQuery.domain_id);
        const rule = domainId ? "identity:list_domain_roles" : "identity:list_roles";
        request.authorize(rule, { target: { role: { domain_id: domainId ?? null } } });
        return listTable(request, identity.answers, {
          table: "identity_roles",
          collection: "roles",
          where: () => [
            ...conditions(request.rawQuery, filters),
            ...(domainId === undefined ? [sql<SqlBool>`domain_id IS NULL`] : []),
          ],
          view: (rows) => rows.map((row) => roleView(request, row)),
        });
      },
    }),
    route({
      name: "roles.create",
      method: "POST",
      path: "/roles",
      policy: rules("create"),
      success: 201,
      body: Type.Object({ role: Type.Object({ name: LongName, ...attributes }) }),
      async handler(request) {
        const { role } = request.body;
        const domainId = role.domain_id ?? null;
        request.authorize(domainId === null ? "identity:create_role" : "identity:create_domain_role", {
          target: { role: { domain_id: domainId } },
        });
        if (domainId !== null && !(await findDomain(store.read, domainId))) {
          throw invalid(`Could not find domain: ${domainId}.`);
        }
        const row: RoleRow = {
          id: ids.hex(),
          name: role.name,
          name_key: role.name.toLowerCase(),
          domain_id: domainId,
          description: role.description ?? null,
          options: mergedOptions("{}", role.options),
          extra: JSON.stringify(extrasOf(role, KNOWN)),
        };
        await identity.change((t) => t.tables<IdentityTables>().insertInto("identity_roles").values(row).execute());
        return { body: { role: roleView(request, row) } };
      },
    }),
    route({
      name: "roles.show",
      method: "GET",
      path: "/roles/:id",
      policy: rules("get"),
      async handler(request) {
        return { body: { role: roleView(request, await authorized(request, "get")) } };
      },
    }),
    route({
      name: "roles.update",
      method: "PATCH",
      path: "/roles/:id",
      policy: rules("update"),
      body: Type.Object({ role: Type.Object({ name: Type.Optional(LongName), ...attributes }) }),
      async handler(request) {
        const row = await authorized(request, "update");
        const { role } = request.body;
        checkSameId(role, row.id);
        checkMutable("role", row, role);
        if (role.domain_id !== undefined && role.domain_id !== row.domain_id) {
          throw invalid("Cannot change the domain of a role.");
        }
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .updateTable("identity_roles")
            .set({
              ...(role.name === undefined ? {} : { name: role.name, name_key: role.name.toLowerCase() }),
              ...(role.description === undefined ? {} : { description: role.description }),
              options: mergedOptions(row.options, role.options),
              extra: mergedExtra(row.extra, extrasOf(role, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute();
          if (role.name !== undefined) revoked.push({ kind: "roles", subject: EVERYONE });
        });
        return { body: { role: roleView(request, demand(await findRole(store.read, row.id), "role", row.id)) } };
      },
    }),
    route({
      name: "roles.delete",
      method: "DELETE",
      path: "/roles/:id",
      policy: rules("delete"),
      success: 204,
      async handler(request) {
        const row = await authorized(request, "delete");
        checkMutable("role", row);
        await identity.revoke(async (t, revoked) => {
          const db = t.tables<IdentityTables>();
          const credentials = await db
            .deleteFrom("identity_application_credentials")
            .where("id", "in", (eb) =>
              eb
                .selectFrom("identity_application_credential_roles")
                .select("credential_id")
                .where("role_id", "=", row.id),
            )
            .returning("id")
            .execute();
          await db.deleteFrom("identity_roles").where("id", "=", row.id).execute();
          for (const { id } of credentials) revoked.push({ kind: "credential", subject: id });
          revoked.push({ kind: "roles", subject: EVERYONE });
        });
        return undefined;
      },
    }),
  ];
}
