import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { getType } from "../store/volume-types.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { viewerOf } from "./type-view.ts";

const RULE = "volume_extension:volume_type_encryption:get";

/** `/types/{id}/encryption`: no volume is encrypted here, which clients that list types want to be told. */
export function typeEncryptionRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "types.encryption.show",
      method: "GET",
      path: "/types/:id/encryption",
      policy: RULE,
      async handler(request) {
        request.authorize(RULE);
        await getType(q, viewerOf(request), request.param("id"));
        return { body: {} };
      },
    }),
    route({
      name: "types.encryption.show-key",
      method: "GET",
      path: "/types/:id/encryption/:key",
      policy: RULE,
      async handler(request) {
        request.authorize(RULE);
        const { id } = await getType(q, viewerOf(request), request.param("id"));
        const why = `Volume type encryption for type ${id} does not exist.`;
        throw new CloudError("notFound", "block-storage.encryption_not_found", why);
      },
    }),
  ];
}
