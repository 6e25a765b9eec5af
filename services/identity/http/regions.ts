import { Type } from "typebox";
import { pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { IdentityContext } from "../context.ts";
import { invalid, refused } from "../errors.ts";
import { findRegion, regionsBelow } from "../store/catalog.ts";
import type { IdentityTables, RegionRow } from "../store/tables.ts";
import { Text } from "./fields.ts";
import { conditions, type Filters } from "./list-query.ts";
import { authorizeOn, checkSameId, demand, extrasOf, listTable, mergedExtra } from "./members.ts";
import { regionView } from "./views.ts";

const RegionId = Type.String({ minLength: 1, maxLength: 255 });
const attributes = {
  description: Type.Optional(Text),
  parent_region_id: Type.Optional(Type.Union([RegionId, Type.Null()])),
};
const KNOWN = Object.keys(attributes);
const NewRegion = Type.Object({
  region: Type.Object({ id: Type.Optional(Type.String({ maxLength: 255 })), ...attributes }),
});

const filters: Filters = { parent_region_id: { kind: "text", column: "parent_region_id" } };

export function regionRoutes(identity: IdentityContext): Route[] {
  const { store, ids } = identity.kernel;

  const authorized = async (request: ApiRequest, rule: string): Promise<RegionRow> => {
    const id = request.param("id");
    return authorizeOn(request, rule, { kind: "region", row: await findRegion(store.read, id), id });
  };

  const create = async (id: string, given: { description?: string | null; parent_region_id?: string | null }) => {
    const parent = given.parent_region_id ?? null;
    if (parent !== null) demand(await findRegion(store.read, parent), "region", parent);
    const row: RegionRow = {
      id,
      description: given.description ?? "",
      parent_region_id: parent,
      extra: JSON.stringify(extrasOf({ ...given }, KNOWN)),
    };
    await identity.change((t) => t.tables<IdentityTables>().insertInto("identity_regions").values(row).execute());
    return row;
  };

  return [
    route({
      name: "regions.list",
      method: "GET",
      path: "/regions",
      policy: "identity:list_regions",
      query: Type.Object({ ...pageQuery, parent_region_id: Type.Optional(Type.String()) }),
      strictQueryFrom: "always",
      handler(request) {
        request.authorize("identity:list_regions");
        return listTable(request, identity.answers, {
          table: "identity_regions",
          collection: "regions",
          where: () => conditions(request.rawQuery, filters),
          view: (rows) => rows.map((row) => regionView(request, row)),
        });
      },
    }),
    route({
      name: "regions.create",
      method: "POST",
      path: "/regions",
      policy: "identity:create_region",
      success: 201,
      body: NewRegion,
      async handler(request) {
        request.authorize("identity:create_region");
        const { region } = request.body;
        return { body: { region: regionView(request, await create(region.id || ids.hex(), region)) } };
      },
    }),
    route({
      name: "regions.createWithId",
      method: "PUT",
      path: "/regions/:id",
      policy: "identity:create_region",
      success: 201,
      body: NewRegion,
      async handler(request) {
        request.authorize("identity:create_region");
        const { region } = request.body;
        const id = request.param("id");
        if (region.id) checkSameId(region, id);
        return { body: { region: regionView(request, await create(id, region)) } };
      },
    }),
    route({
      name: "regions.show",
      method: "GET",
      path: "/regions/:id",
      policy: "identity:get_region",
      async handler(request) {
        return { body: { region: regionView(request, await authorized(request, "identity:get_region")) } };
      },
    }),
    route({
      name: "regions.update",
      method: "PATCH",
      path: "/regions/:id",
      policy: "identity:update_region",
      body: Type.Object({ region: Type.Object(attributes) }),
      async handler(request) {
        const row = await authorized(request, "identity:update_region");
        const { region } = request.body;
        checkSameId(region, row.id);
        await identity.change(async (t) => {
          if (region.parent_region_id) await checkParent(t, row.id, region.parent_region_id);
          await t
            .tables<IdentityTables>()
            .updateTable("identity_regions")
            .set({
              ...(region.description === undefined ? {} : { description: region.description ?? "" }),
              ...(region.parent_region_id === undefined ? {} : { parent_region_id: region.parent_region_id }),
              extra: mergedExtra(row.extra, extrasOf(region, KNOWN)),
            })
            .where("id", "=", row.id)
            .execute();
        });
        const updated = demand(await findRegion(store.read, row.id), "region", row.id);
        return { body: { region: regionView(request, updated) } };
      },
    }),
    route({
      name: "regions.delete",
      method: "DELETE",
      path: "/regions/:id",
      policy: "identity:delete_region",
      success: 204,
      async handler(request) {
        const row = await authorized(request, "identity:delete_region");
        await identity.change(async (t) => {
          const db = t.tables<IdentityTables>();
          const used = await db
            .selectFrom("identity_endpoints")
            .select("id")
            .where("region_id", "in", await regionsBelow(t, row.id))
            .limit(1)
            .executeTakeFirst();
          if (used) throw refused(`Cannot delete region ${row.id}: it or a region below it has endpoints.`);
          await db.deleteFrom("identity_regions").where("id", "=", row.id).execute();
        });
        return undefined;
      },
    }),
  ];
}

async function checkParent(queries: Queries, id: string, parentId: string): Promise<void> {
  demand(await findRegion(queries, parentId), "region", parentId);
  if ((await regionsBelow(queries, id)).includes(parentId)) throw invalid("Regions cannot contain themselves.");
}
