import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { findService } from "../store/catalog.ts";
import type { IdentityTables, ServiceRow } from "../store/tables.ts";
import { Text } from "./fields.ts";
import { conditions, type Filters } from "./list-query.ts";
import { authorizeOn, checkSameId, demand, extrasOf, ListQuery, listTable, mergedExtra } from "./members.ts";
import { serviceView } from "./views.ts";

const ServiceType = Type.String({ minLength: 1, maxLength: 255 });
const attributes = {
  name: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
  description: Type.Optional(Text),
  enabled: Type.Optional(Type.Boolean()),
};
const KNOWN = ["type", ...Object.keys(attributes)];

const filters: Filters = {
  type: { kind: "text", column: "type" },
  name: { kind: "text", column: "name" },
};

export function serviceRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<ServiceRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "service", row: await findService(store.read, id), id });
  };

  return [
    route({
      name: "services.list",
      method: "GET",
      path: "/services",
      policy: "identity:list_services",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_services");
        return listTable(request, identity.answers, {
          table: "identity_services",
          collection: "services",
          where: () => conditions(request.rawQuery, filters),
          view: (rows) => rows.map((row) => serviceView(request, row)),
        });
      },
    }),
    route({
      name: "services.create",
      method: "POST",
      path: "/services",
      policy: "identity:create_service",
      success: 201,
      body: Type.Object({ service: Type.Object({ type: ServiceType, ...attributes }) }),
      async handler(request) {
        request.authorize("identity:create_service");
        const { service } = request.body;
        const row: ServiceRow = {
          id: ids.hex(),
          type: service.type,
          name: service.name ?? null,
          description: service.description ?? null,
          enabled: service.enabled === false ? 0 : 1,
          extra: JSON.stringify(extrasOf(service, KNOWN)),
        };
        await identity.change((t) => t.tables<IdentityTables>().insertInto("identity_services").values(row).execute());
        return { body: { service: serviceView(request, row) } };
      },
    }),
    route({
      name: "services.show",
      method: "GET",
      path: "/services/:id",
      policy: "identity:get_service",
      async handler(request) {
        return { body: { service: serviceView(request, await authorized(request, "identity:get_service")) } };
      },
    }),
    route({
      name: "services.update",
      method: "PATCH",
      path: "/services/:id",
      policy: "identity:update_service",
      body: Type.Object({ service: Type.Object({ type: Type.Optional(ServiceType), ...attributes }) }),
      async handler(request) {
        const row = await authorized(request, "identity:update_service");
        const { service } = request.body;
        checkSameId(service, row.id);
        await identity.change((t) =>
          t
            .tables<IdentityTables>()
            .updateTable("identity_services")
            .set({
              ...(service.type === undefined ? {} : { type: service.type }),
              ...(service.name === undefined ? {} : { name: service.name }),
              ...(service.description === undefined ? {} : { description: service.description }),
              ...(service.enabled === undefined ? {} : { enabled: service.enabled ? 1 : 0 }),
              extra: mergedExtra(row.extra, extrasOf(service, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute(),
        );
        const updated = demand(await findService(store.read, row.id), "service", row.id);
        return { body: { service: serviceView(request, updated) } };
      },
    }),
    route({
      name: "services.delete",
      method: "DELETE",
      path: "/services/:id",
      policy: "identity:delete_service",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_service");
        await identity.change((t) =>
          t.tables<IdentityTables>().deleteFrom("identity_services").where("id", "=", row.id).execute(),
        );
        return undefined;
      },
    }),
  ];
}
