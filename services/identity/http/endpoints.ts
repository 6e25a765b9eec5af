import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { isValidTemplate } from "../domain/catalog-url.ts";
import { invalid } from "../errors.ts";
import { findEndpoint, findRegion, findService } from "../store/catalog.ts";
import type { EndpointRow, IdentityTables } from "../store/tables.ts";
import { conditions, type Filters } from "./list-query.ts";
import { authorizeOn, checkSameId, demand, extrasOf, ListQuery, listTable, mergedExtra } from "./members.ts";
import { endpointView } from "./views.ts";

const Interface = Type.Union([Type.Literal("public"), Type.Literal("internal"), Type.Literal("admin")]);
const Url = Type.String({ minLength: 1, maxLength: 225, pattern: "^[a-zA-Z0-9+.-]+:.+" });
const RegionRef = Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Null()]);
const ServiceId = Type.String({ minLength: 1, maxLength: 64 });
const attributes = {
  region: Type.Optional(RegionRef),
  region_id: Type.Optional(RegionRef),
  enabled: Type.Optional(Type.Boolean()),
  name: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
};
const KNOWN = ["interface", "service_id", "url", ...Object.keys(attributes)];

const filters: Filters = {
  interface: { kind: "text", column: "interface" },
  service_id: { kind: "text", column: "service_id" },
  region_id: { kind: "text", column: "region_id" },
  region: { kind: "text", column: "region_id" },
};

interface Given {
  readonly region?: string | null;
  readonly region_id?: string | null;
  readonly service_id?: string;
  readonly url?: string;
}

export function endpointRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<EndpointRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "endpoint", row: await findEndpoint(store.read, id), id });
  };

  return [
    route({
      name: "endpoints.list",
      method: "GET",
      path: "/endpoints",
      policy: "identity:list_endpoints",
      query: ListQuery,
      handler(request) {
        request.authorize("identity:list_endpoints");
        return listTable(request, identity.answers, {
          table: "identity_endpoints",
          collection: "endpoints",
          where: () => conditions(request.rawQuery, filters),
          view: (rows) => rows.map((row) => endpointView(request, row)),
        });
      },
    }),
    route({
      name: "endpoints.create",
      method: "POST",
      path: "/endpoints",
      policy: "identity:create_endpoint",
      success: 201,
      body: Type.Object({
        endpoint: Type.Object({ interface: Interface, service_id: ServiceId, url: Url, ...attributes }),
      }),
      async handler(request) {
        request.authorize("identity:create_endpoint");
        const { endpoint } = request.body;
        const row = await identity.change(async (t) => {
          const made: EndpointRow = {
            id: ids.hex(),
            service_id: endpoint.service_id,
            interface: endpoint.interface,
            url: endpoint.url,
            region_id: (await checkReferences(t, endpoint)) ?? null,
            enabled: endpoint.enabled === false ? 0 : 1,
            name: endpoint.name ?? null,
            seeded: 0,
            extra: JSON.stringify(extrasOf(endpoint, KNOWN)),
          };
          await t.tables<IdentityTables>().insertInto("identity_endpoints").values(made).execute();
          return made;
        });
        return { body: { endpoint: endpointView(request, row) } };
      },
    }),
    route({
      name: "endpoints.show",
      method: "GET",
      path: "/endpoints/:id",
      policy: "identity:get_endpoint",
      async handler(request) {
        return { body: { endpoint: endpointView(request, await authorized(request, "identity:get_endpoint")) } };
      },
    }),
    route({
      name: "endpoints.update",
      method: "PATCH",
      path: "/endpoints/:id",
      policy: "identity:update_endpoint",
      body: Type.Object({
        endpoint: Type.Object({
          interface: Type.Optional(Interface),
          service_id: Type.Optional(ServiceId),
          url: Type.Optional(Url),
          ...attributes,
        }),
      }),
      async handler(request) {
        const row = await authorized(request, "identity:update_endpoint");
        const { endpoint } = request.body;
        checkSameId(endpoint, row.id);
        await identity.change(async (t) => {
          const regionId = await checkReferences(t, endpoint);
          await t
            .tables<IdentityTables>()
            .updateTable("identity_endpoints")
            .set({
              ...(endpoint.interface === undefined ? {} : { interface: endpoint.interface }),
              ...(endpoint.service_id === undefined ? {} : { service_id: endpoint.service_id }),
              // An address that an operator chose must survive the next start.
              ...(endpoint.url === undefined ? {} : { url: endpoint.url, seeded: 0 }),
              ...(regionId === undefined ? {} : { region_id: regionId }),
              ...(endpoint.enabled === undefined ? {} : { enabled: endpoint.enabled ? 1 : 0 }),
              ...(endpoint.name === undefined ? {} : { name: endpoint.name }),
              extra: mergedExtra(row.extra, extrasOf(endpoint, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute();
        });
        const updated = demand(await findEndpoint(store.read, row.id), "endpoint", row.id);
        return { body: { endpoint: endpointView(request, updated) } };
      },
    }),
    route({
      name: "endpoints.delete",
      method: "DELETE",
      path: "/endpoints/:id",
      policy: "identity:delete_endpoint",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_endpoint");
        await identity.change((t) =>
          t.tables<IdentityTables>().deleteFrom("identity_endpoints").where("id", "=", row.id).execute(),
        );
        return undefined;
      },
    }),
  ];
}

/** Throws 400 for what does not exist; the old `region` makes its region. The id of the region, undefined when none was given. */
async function checkReferences(t: Tx, given: Given): Promise<string | null | undefined> {
  if (given.url !== undefined && !isValidTemplate(given.url)) throw invalid("The URL of the endpoint is malformed.");
  if (given.service_id !== undefined && !(await findService(t, given.service_id))) {
    throw invalid(`Could not find service: ${given.service_id}.`);
  }
  if (given.region_id !== undefined) {
    if (given.region_id !== null && !(await findRegion(t, given.region_id))) {
      throw invalid(`Could not find region: ${given.region_id}.`);
    }
    return given.region_id;
  }
  if (given.region === undefined || given.region === null) return given.region;
  await t
    .tables<IdentityTables>()
    .insertInto("identity_regions")
    .values({ id: given.region, description: "", parent_region_id: null, extra: "{}" })
    .onConflict((c) => c.doNothing())
    .execute();
  return given.region;
}
