import { type SqlBool, sql } from "kysely";
import { type Static, Type } from "typebox";
import { pageBody, pageOf } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { parseDateTime } from "../../../kernel/http/schemas.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { withImplied } from "../domain/implied-roles.ts";
import { invalid, notFound, refused } from "../errors.ts";
import { hashPassword } from "../login/password-hash.ts";
import { accessRulesOfCredential, findCredential, rolesOfCredential } from "../store/application-credentials.ts";
import { effectiveRoles, readRoleGraph } from "../store/effective-roles.ts";
import { findRoles } from "../store/roles.ts";
import type { ApplicationCredentialRow, IdentityTables, RoleRow } from "../store/tables.ts";
import { findUser } from "../store/users.ts";
import { LongName, Text } from "./fields.ts";
import { conditions, type Filters } from "./list-query.ts";
import { demand, ListQuery, listRows } from "./members.ts";
import { credentialView } from "./views.ts";

const AccessRule = Type.Object({
  id: Type.Optional(Type.String()),
  path: Type.Optional(Type.String({ minLength: 1, maxLength: 255, pattern: "^/" })),
  method: Type.Optional(Type.String({ pattern: "^(POST|GET|HEAD|PATCH|PUT|DELETE)$" })),
  service: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
});

const NewCredential = Type.Object({
  name: LongName,
  description: Type.Optional(Text),
  secret: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 4096 }), Type.Null()])),
  expires_at: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  roles: Type.Optional(
    Type.Array(Type.Object({ id: Type.Optional(Type.String()), name: Type.Optional(Type.String()) })),
  ),
  unrestricted: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  access_rules: Type.Optional(Type.Array(AccessRule)),
});

const filters: Filters = { name: { kind: "text", column: "name" } };

export function applicationCredentialRoutes(identity: IdentityContext): Route[] {
  const { store, ids, clock } = identity.kernel;
  const base = "/users/:user/application_credentials";

  const authorize = (request: ApiRequest, rule: string) =>
    request.authorize(rule, { target: { user: { id: request.param("user") } } });

  const view = async (request: ApiRequest, row: ApplicationCredentialRow) =>
    credentialView(request, row, {
      roles: await rolesOfCredential(store.read, row.id),
      rules: await accessRulesOfCredential(store.read, row.id),
    });

  const credential = async (request: ApiRequest): Promise<ApplicationCredentialRow> => {
    const id = request.param("id");
    const row = await findCredential(store.read, id);
    return demand(row?.user_id === request.param("user") ? row : undefined, "application credential", id);
  };

  return [
    route({
      name: "applicationCredentials.list",
      method: "GET",
      path: base,
      policy: "identity:list_application_credentials",
      query: ListQuery,
      async handler(request) {
        authorize(request, "identity:list_application_credentials");
        const page = pageOf(request);
        const own = sql<SqlBool>`user_id = ${request.param("user")}`;
        const where = [own, ...conditions(request.rawQuery, filters)];
        const rows = await listRows(store.read, "identity_application_credentials", where, page);
        const members = [];
        for (const row of rows) members.push(await view(request, row));
        return {
          body: pageBody(request, "application_credentials", members, {
            limit: page.limit,
            markerOf: (member) => member.id,
          }),
        };
      },
    }),
    route({
      name: "applicationCredentials.create",
      method: "POST",
      path: base,
      policy: "identity:create_application_credential",
      success: 201,
      body: Type.Object({ application_credential: NewCredential }),
      async handler(request) {
        authorize(request, "identity:create_application_credential");
        refuseRestricted(request);
        const { projectId, userId } = request.context;
        if (projectId === null) throw refused("Application credentials are made with a project-scoped token.");
        demand(await findUser(store.read, userId), "user", userId);
        const given = request.body.application_credential;
        const secret = given.secret ?? ids.secret(64);
        const row: ApplicationCredentialRow = {
          id: ids.hex(),
          name: given.name,
          user_id: userId,
          project_id: projectId,
          description: given.description ?? null,
          secret_hash: await hashPassword(secret, ids),
          expires_at: readExpiry(given.expires_at ?? null, clock.now()),
          unrestricted: given.unrestricted ? 1 : 0,
        };
        const roles = await chosenRoles(identity, request, given.roles ?? []);
        await identity.change(async (t) => {
          const db = t.tables<IdentityTables>();
          await db.insertInto("identity_application_credentials").values(row).execute();
          await db
            .insertInto("identity_application_credential_roles")
            .values(roles.map((role) => ({ credential_id: row.id, role_id: role.id })))
            .execute();
          for (const rule of given.access_rules ?? []) {
            const rule_id = await ensureRule(t, userId, rule, ids.hex());
            await db
              .insertInto("identity_application_credential_rules")
              .values({ credential_id: row.id, rule_id })
              .onConflict((c) => c.doNothing())
              .execute();
          }
        });
        return { body: { application_credential: { ...(await view(request, row)), secret } } };
      },
    }),
    route({
      name: "applicationCredentials.show",
      method: "GET",
      path: `${base}/:id`,
      policy: "identity:get_application_credential",
      async handler(request) {
        authorize(request, "identity:get_application_credential");
        return { body: { application_credential: await view(request, await credential(request)) } };
      },
    }),
    route({
      name: "applicationCredentials.delete",
      method: "DELETE",
      path: `${base}/:id`,
      policy: "identity:delete_application_credential",
      success: 204,
      async handler(request) {
        authorize(request, "identity:delete_application_credential");
        refuseRestricted(request);
        const row = await credential(request);
        await identity.revoke(async (t, revoked) => {
          const db = t.tables<IdentityTables>();
          await db.deleteFrom("identity_application_credentials").where("id", "=", row.id).execute();
          revoked.push({ kind: "credential", subject: row.id });
        });
        return undefined;
      },
    }),
  ];
}

/** A token of a restricted application credential makes and deletes none. */
export function refuseRestricted(request: ApiRequest): void {
  const used = request.context.credentials.attributes?.application_credential as { restricted: boolean } | undefined;
  if (used?.restricted) throw refused("A restricted application credential cannot manage application credentials.");
}

/** Epoch milliseconds. Throws 400 for what is no time or lies in the past. */
function readExpiry(text: string | null, now: number): number | null {
  if (text === null) return null;
  const at = parseDateTime(text);
  if (Number.isNaN(at)) throw invalid("expires_at is no ISO 8601 time.");
  if (at <= now) throw invalid("expires_at lies in the past.");
  return at;
}

/** All roles of the token, or those that were named, with what they imply. Throws 400 for roles that the user lacks. */
async function chosenRoles(
  identity: IdentityContext,
  request: ApiRequest,
  wanted: readonly { id?: string; name?: string }[],
): Promise<RoleRow[]> {
  const queries = identity.kernel.store.read;
  const { userId, projectId, credentials } = request.context;
  const used = credentials.attributes?.application_credential as { id: string } | undefined;
  const held = await effectiveRoles(queries, {
    userId,
    scope: { kind: "project", projectId: projectId ?? "", domainId: credentials.projectDomainId ?? "" },
    applicationCredential: used ?? null,
  });
  if (wanted.length === 0)
    return await findRoles(
      queries,
      held.map((role) => role.id),
    );
  const ids = wanted.map(({ id, name }) => {
    const role = held.find((each) =>
      id === undefined ? each.name.toLowerCase() === name?.toLowerCase() : each.id === id,
    );
    if (!role) throw invalid(`You do not have the role ${id ?? name} on this project.`);
    return role.id;
  });
  return await findRoles(queries, [...withImplied(ids, await readRoleGraph(queries))]);
}

/** The id of the user's rule, which is made when it is new. */
async function ensureRule(t: Tx, userId: string, given: Static<typeof AccessRule>, newId: string): Promise<string> {
  const db = t.tables<IdentityTables>();
  if (given.id !== undefined) {
    const row = await db
      .selectFrom("identity_access_rules")
      .select("id")
      .where("id", "=", given.id)
      .where("user_id", "=", userId)
      .executeTakeFirst();
    if (!row) throw notFound("access rule", given.id);
    return row.id;
  }
  const { path, method, service } = given;
  if (path === undefined || method === undefined || service === undefined) {
    throw invalid("An access rule has a path, a method and a service.");
  }
  await db
    .insertInto("identity_access_rules")
    .values({ id: newId, user_id: userId, path, method, service })
    .onConflict((c) => c.doNothing())
    .execute();
  const row = await db
    .selectFrom("identity_access_rules")
    .select("id")
    .where("user_id", "=", userId)
    .where("path", "=", path)
    .where("method", "=", method)
    .where("service", "=", service)
    .executeTakeFirstOrThrow();
  return row.id;
}
