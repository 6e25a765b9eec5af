import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { without } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import { extraSpecsOf, updateFlavor } from "../store/flavors.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { flavorOf } from "./flavor-lookup.ts";
import { extraSpecBody, extraSpecsBody } from "./flavor-schemas.ts";

const RULE = "os_compute_api:os-flavor-extra-specs";

/** `/flavors/{id}/os-extra_specs` */
export function flavorExtraSpecRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "flavor-extra-specs.list",
      method: "GET",
      path: "/flavors/:id/os-extra_specs",
      policy: `${RULE}:index`,
      async handler(request) {
        request.authorize(`${RULE}:index`, { project_id: request.context.projectId });
        return { body: { extra_specs: extraSpecsOf(await flavorOf(store.read, request)) } };
      },
    }),
    route({
      name: "flavor-extra-specs.create",
      method: "POST",
      path: "/flavors/:id/os-extra_specs",
      policy: `${RULE}:create`,
      body: extraSpecsBody,
      async handler(request) {
        request.authorize(`${RULE}:create`);
        const added = asTexts(request.body.extra_specs);
        await change(request, (specs) => ({ ...specs, ...added }));
        return { body: { extra_specs: added } };
      },
    }),
    route({
      name: "flavor-extra-specs.show",
      method: "GET",
      path: "/flavors/:id/os-extra_specs/:key",
      policy: `${RULE}:show`,
      async handler(request) {
        request.authorize(`${RULE}:show`, { project_id: request.context.projectId });
        const row = await flavorOf(store.read, request);
        const key = request.param("key");
        const specs = extraSpecsOf(row);
        if (!Object.hasOwn(specs, key)) throw noSpec(row.id, key);
        return { body: { [key]: specs[key] } };
      },
    }),
    route({
      name: "flavor-extra-specs.update",
      method: "PUT",
      path: "/flavors/:id/os-extra_specs/:key",
      policy: `${RULE}:update`,
      body: extraSpecBody,
      async handler(request) {
        request.authorize(`${RULE}:update`);
        const key = request.param("key");
        const changed = asTexts(request.body);
        if (!Object.hasOwn(changed, key))
          throw new CloudError("invalid", "compute.extra_spec_key", "Request body and URI mismatch");
        await change(request, (specs) => ({ ...specs, ...changed }));
        return { body: changed };
      },
    }),
    route({
      name: "flavor-extra-specs.delete",
      method: "DELETE",
      path: "/flavors/:id/os-extra_specs/:key",
      policy: `${RULE}:delete`,
      async handler(request) {
        request.authorize(`${RULE}:delete`);
        const key = request.param("key");
        await change(request, (specs) => {
          const rest = without(specs, key);
          if (!rest) throw noSpec(request.param("id"), key);
          return rest;
        });
        return undefined;
      },
    }),
  ];

  /** One change at a time, so that none is lost between reading and writing. */
  async function change(request: Asking, to: (specs: Specs) => Specs): Promise<void> {
    await store.tx(async (t) => {
      await nextNumber(t, "compute.extra-spec-changes");
      const row = await flavorOf(t, request);
      await updateFlavor(t, row.id, { extra_specs: JSON.stringify(to(extraSpecsOf(row))) });
    });
  }
}

type Asking = Pick<ApiRequest<never, never>, "param" | "context">;
type Specs = Readonly<Record<string, string>>;

function asTexts(specs: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(specs).map(([key, value]) => [key, String(value)]));
}

function noSpec(flavorId: string, key: string): CloudError {
  return new CloudError(
    "notFound",
    "compute.extra_spec_not_found",
    `Flavor ${flavorId} has no extra specs with key ${key}.`,
  );
}
