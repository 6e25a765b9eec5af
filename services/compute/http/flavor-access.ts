import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { action, actionRoute, type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { addFlavorAccess, projectsOfFlavor, removeFlavorAccess } from "../store/flavors.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { flavorOf } from "./flavor-lookup.ts";
import { tenantBody } from "./flavor-schemas.ts";
import { mustBeProject } from "./project-check.ts";

const RULE = "os_compute_api:os-flavor-access";

/** Which projects may use a flavor that is not public. */
export function flavorAccessRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "flavor-access.list",
      method: "GET",
      path: "/flavors/:id/os-flavor-access",
      policy: RULE,
      async handler(request) {
        request.authorize(RULE);
        const row = await flavorOf(store.read, request);
        if (row.is_public === 1) {
          const why = "Access list not available for public flavors.";
          throw new CloudError("notFound", "compute.flavor_has_no_access_list", why);
        }
        return { body: await accessList(store.read, row.id) };
      },
    }),
    actionRoute({
      name: "flavors.action",
      path: "/flavors/:id/action",
      actions: [
        action({
          key: "addTenantAccess",
          policy: `${RULE}:add_tenant_access`,
          success: 200,
          body: tenantBody,
          async handler(request) {
            request.authorize(`${RULE}:add_tenant_access`);
            const { tenant } = request.body;
            await mustBeProject(store.read, tenant);
            const row = await flavorOf(store.read, request);
            if (request.version.atLeast("2.7") && row.is_public === 1) {
              const why = "Can not add access to a public flavor.";
              throw new CloudError("conflict", "compute.flavor_is_public", why);
            }
            if (!(await store.tx((t) => addFlavorAccess(t, row.id, tenant)))) {
              const why = `Flavor access already exists for flavor ${row.id} and project ${tenant} combination.`;
              throw new CloudError("conflict", "compute.flavor_access_exists", why);
            }
            return { body: await accessList(store.read, row.id) };
          },
        }),
        action({
          key: "removeTenantAccess",
          policy: `${RULE}:remove_tenant_access`,
          success: 200,
          body: tenantBody,
          async handler(request) {
            request.authorize(`${RULE}:remove_tenant_access`);
            const { tenant } = request.body;
            const row = await flavorOf(store.read, request);
            if (!(await store.tx((t) => removeFlavorAccess(t, row.id, tenant)))) {
              const why = `Flavor access not found for ${row.id} / ${tenant} combination.`;
              throw new CloudError("notFound", "compute.flavor_access_not_found", why);
            }
            return { body: await accessList(store.read, row.id) };
          },
        }),
      ],
    }),
  ];
}

async function accessList(q: Queries, flavorId: string) {
  const projects = await projectsOfFlavor(q, flavorId);
  return { flavor_access: projects.map((tenant) => ({ flavor_id: flavorId, tenant_id: tenant })) };
}
