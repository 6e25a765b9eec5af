import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own, without } from "../../../kernel/http/own.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { extraSpecsOf } from "../store/find-type.ts";
import { getType, mustBeUnused, updateType } from "../store/volume-types.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { ExtraSpecs } from "./schemas.ts";
import { ownTarget, type Specs, viewerOf, visibleSpecs } from "./type-view.ts";

const RULE = "volume_extension:types_extra_specs";
const SENSITIVE = `${RULE}:read_sensitive`;
const PATH = "/types/:id/extra_specs";

const Body = Type.Object({ extra_specs: ExtraSpecs }, { additionalProperties: false });

/** `/types/{id}/extra_specs` */
export function typeExtraSpecRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const q = store.read;

  /** Changes the specs of a type that no volume has yet: a backend was chosen by them. */
  const change = async (request: Parameters<typeof viewerOf>[0], id: string, next: (old: Specs) => Specs) => {
    await store.tx(async (t) => {
      const row = await getType(t, viewerOf(request), id);
      await mustBeUnused(t, id);
      await updateType(t, id, { extra_specs: JSON.stringify(next(extraSpecsOf(row))) }, clock.now());
    });
  };

  return [
    route({
      name: "types.extra-specs.list",
      method: "GET",
      path: PATH,
      policy: [`${RULE}:index`, SENSITIVE],
      async handler(request) {
        request.authorize(`${RULE}:index`, ownTarget(request));
        const row = await getType(q, viewerOf(request), request.param("id"));
        return { body: { extra_specs: visibleSpecs(request, row) } };
      },
    }),
    route({
      name: "types.extra-specs.add",
      method: "POST",
      path: PATH,
      policy: `${RULE}:create`,
      body: Body,
      async handler(request) {
        request.authorize(`${RULE}:create`);
        const added = request.body.extra_specs;
        await change(request, request.param("id"), (old) => ({ ...old, ...added }));
        return { body: { extra_specs: added } };
      },
    }),
    route({
      name: "types.extra-specs.show",
      method: "GET",
      path: `${PATH}/:key`,
      policy: [`${RULE}:show`, SENSITIVE],
      async handler(request) {
        request.authorize(`${RULE}:show`, ownTarget(request));
        const row = await getType(q, viewerOf(request), request.param("id"));
        const key = request.param("key");
        const value = own(visibleSpecs(request, row), key);
        if (value === undefined) throw noSpec(key);
        return { body: { [key]: value } };
      },
    }),
    route({
      name: "types.extra-specs.set",
      method: "PUT",
      path: `${PATH}/:key`,
      policy: `${RULE}:update`,
      body: ExtraSpecs,
      async handler(request) {
        request.authorize(`${RULE}:update`);
        const specs = request.body;
        const key = request.param("key");
        if (Object.keys(specs).length !== 1 || own(specs, key) === undefined)
          throw new CloudError("invalid", "block-storage.spec_mismatch", "Request body and URI mismatch");
        await change(request, request.param("id"), (old) => ({ ...old, ...specs }));
        return { body: specs };
      },
    }),
    route({
      name: "types.extra-specs.delete",
      method: "DELETE",
      path: `${PATH}/:key`,
      policy: `${RULE}:delete`,
      success: 202,
      async handler(request) {
        request.authorize(`${RULE}:delete`);
        const key = request.param("key");
        await change(request, request.param("id"), (old) => {
          const rest = without(old, key);
          if (!rest) throw noSpec(key);
          return rest;
        });
        return undefined;
      },
    }),
  ];
}

function noSpec(key: string): CloudError {
  return new CloudError("notFound", "block-storage.spec_not_found", `Volume Type has no extra specs with key ${key}.`);
}
