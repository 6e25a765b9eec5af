import { type RawBuilder, type SqlBool, sql } from "kysely";
import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { parseDateTime } from "../../../kernel/http/schemas.ts";
import type { IdentityContext } from "../context.ts";
import { invalid, unauthorized } from "../errors.ts";
import { hashPassword, verifyPassword } from "../login/password-hash.ts";
import { projectsOfUser } from "../store/effective-roles.ts";
import { findDomain } from "../store/projects.ts";
import type { IdentityTables, UserRow } from "../store/tables.ts";
import { findUser } from "../store/users.ts";
import { LongName, OptionalId, ResourceId } from "./fields.ts";
import { conditions, type Filters, queryText } from "./list-query.ts";
import {
  authorizeOn,
  checkSameId,
  demand,
  extrasOf,
  jsonObject,
  ListQuery,
  listedDomain,
  listTable,
  mergedExtra,
  mergedOptions,
  ownDomainOnly,
  wholeList,
} from "./members.ts";
import { projectViews } from "./projects.ts";
import { userView } from "./views.ts";

const OptionalFlag = Type.Optional(Type.Union([Type.Boolean(), Type.Null()]));

const attributes = {
  default_project_id: Type.Optional(OptionalId),
  enabled: Type.Optional(Type.Boolean()),
  password: Type.Optional(Type.Union([Type.String({ maxLength: 4096 }), Type.Null()])),
  options: Type.Optional(
    Type.Object({
      ignore_change_password_upon_first_use: OptionalFlag,
      ignore_password_expiry: OptionalFlag,
      ignore_lockout_failure_attempts: OptionalFlag,
      lock_password: OptionalFlag,
      multi_factor_auth_enabled: OptionalFlag,
      multi_factor_auth_rules: Type.Optional(Type.Union([Type.Array(Type.Array(Type.String())), Type.Null()])),
    }),
  ),
};
const KNOWN = ["name", "domain_id", ...Object.keys(attributes)];

const filters: Filters = {
  domain_id: { kind: "text", column: "domain_id" },
  name: { kind: "name", column: "name_key" },
  enabled: { kind: "boolean", column: "enabled" },
};

export function userRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<UserRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "user", row: await findUser(store.read, id), id });
  };

  return [
    route({
      name: "users.list",
      method: "GET",
      path: "/users",
      policy: "identity:list_users",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_users", listedDomain(request));
        return listTable(request, identity.answers, {
          table: "identity_users",
          collection: "users",
          where: () => [
            ...conditions(request.rawQuery, filters),
            ...expiryCondition(queryText(request.rawQuery.password_expires_at)),
            ...ownDomainOnly(request),
          ],
          view: (rows) => rows.map((row) => userView(request, row)),
        });
      },
    }),
    route({
      name: "users.create",
      method: "POST",
      path: "/users",
      policy: "identity:create_user",
      success: 201,
      body: Type.Object({
        user: Type.Object({ name: LongName, domain_id: Type.Optional(ResourceId), ...attributes }),
      }),
      async handler(request) {
        const { user } = request.body;
        const domainId = user.domain_id ?? request.context.domainId ?? "default";
        request.authorize("identity:create_user", { target: { user: { domain_id: domainId } } });
        if (!(await findDomain(store.read, domainId))) throw invalid(`Could not find domain: ${domainId}.`);
        const row: UserRow = {
          id: ids.hex(),
          name: user.name,
          name_key: user.name.toLowerCase(),
          domain_id: domainId,
          enabled: user.enabled === false ? 0 : 1,
          default_project_id: user.default_project_id ?? null,
          password_hash: user.password ? await hashPassword(user.password, ids) : null,
          password_expires_at: user.password ? identity.passwordExpiry() : null,
          options: mergedOptions("{}", user.options),
          extra: JSON.stringify(extrasOf(user, KNOWN)),
        };
        await identity.change((t) => t.tables<IdentityTables>().insertInto("identity_users").values(row).execute());
        return { body: { user: userView(request, row) } };
      },
    }),
    route({
      name: "users.show",
      method: "GET",
      path: "/users/:id",
      policy: "identity:get_user",
      async handler(request) {
        return { body: { user: userView(request, await authorized(request, "identity:get_user")) } };
      },
    }),
    route({
      name: "users.update",
      method: "PATCH",
      path: "/users/:id",
      policy: "identity:update_user",
      body: Type.Object({
        user: Type.Object({ name: Type.Optional(LongName), domain_id: Type.Optional(ResourceId), ...attributes }),
      }),
      async handler(request) {
        const row = await authorized(request, "identity:update_user");
        const { user } = request.body;
        checkSameId(user, row.id);
        if (user.domain_id !== undefined && user.domain_id !== row.domain_id) {
          throw invalid("Cannot change the domain of a user.");
        }
        const password = user.password ? await hashPassword(user.password, ids) : null;
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .updateTable("identity_users")
            .set({
              ...(user.name === undefined ? {} : { name: user.name, name_key: user.name.toLowerCase() }),
              ...(user.enabled === undefined ? {} : { enabled: user.enabled ? 1 : 0 }),
              ...(user.default_project_id === undefined ? {} : { default_project_id: user.default_project_id }),
              ...(user.password === undefined
                ? {}
                : { password_hash: password, password_expires_at: identity.passwordExpiry() }),
              options: mergedOptions(row.options, user.options),
              extra: mergedExtra(row.extra, extrasOf(user, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute();
          if (user.enabled === false || user.password !== undefined) revoked.push({ kind: "user", subject: row.id });
        });
        return { body: { user: userView(request, demand(await findUser(store.read, row.id), "user", row.id)) } };
      },
    }),
    route({
      name: "users.delete",
      method: "DELETE",
      path: "/users/:id",
      policy: "identity:delete_user",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_user");
        await identity.revoke(async (t, revoked) => {
          await t.tables<IdentityTables>().deleteFrom("identity_users").where("id", "=", row.id).execute();
          revoked.push({ kind: "user", subject: row.id });
        });
        return undefined;
      },
    }),
    route({
      name: "users.changePassword",
      method: "POST",
      path: "/users/:id/password",
      auth: "none",
      success: 204,
      body: Type.Object({
        user: Type.Object({
          original_password: Type.String(),
          password: Type.String({ minLength: 1, maxLength: 4096 }),
        }),
      }),
      async handler(request) {
        const row = await findUser(store.read, request.param("id"));
        const { original_password, password } = request.body.user;
        const matches = await verifyPassword(original_password, row?.password_hash ?? null);
        if (!row?.enabled || !matches) throw unauthorized("unknown user or wrong original password");
        if (jsonObject(row.options).lock_password === true) throw invalid("Only an administrator sets this password.");
        const password_hash = await hashPassword(password, ids);
        await identity.revoke(async (t, revoked) => {
          await t
            .tables<IdentityTables>()
            .updateTable("identity_users")
            .set({ password_hash, password_expires_at: identity.passwordExpiry() })
            .where("id", "=", row.id)
            .execute();
          revoked.push({ kind: "user", subject: row.id });
        });
        return undefined;
      },
    }),
    route({
      name: "users.projects",
      method: "GET",
      path: "/users/:id/projects",
      policy: "identity:list_user_projects",
      async handler(request) {
        const { id } = await authorized(request, "identity:list_user_projects");
        const rows = await projectsOfUser(store.read, id);
        return wholeList(request, "projects", await projectViews(request, store.read, rows));
      },
    }),
  ];
}

const OPERATORS = { lt: "<", lte: "<=", gt: ">", gte: ">=", eq: "=", neq: "<>" } as const;

/** `lt:2026-01-01T00:00:00Z`; without an operator: equal. */
function expiryCondition(text: string | undefined): RawBuilder<SqlBool>[] {
  if (text === undefined) return [];
  const [, operator = "eq", time = ""] = /^(?:(lte?|gte?|n?eq):)?(.+)$/.exec(text) ?? [];
  const at = parseDateTime(time);
  if (Number.isNaN(at)) throw invalid("password_expires_at is no time.");
  const comparison = sql.raw(OPERATORS[operator as keyof typeof OPERATORS]);
  return [sql<SqlBool>`password_expires_at ${comparison} ${at}`];
}
