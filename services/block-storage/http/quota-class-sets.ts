import { Type } from "typebox";
import { type Route, route } from "../../../kernel/http/route.ts";
import { quotasOf, setQuotas } from "../store/volume-quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { limitsOf } from "./quota-sets.ts";

const RULE = "volume_extension:quota_classes";
const PATH = "/os-quota-class-sets/:id";

/** Which keys and values are limits is found out by `limitsOf`. */
const UpdateBody = Type.Object({ quota_class_set: Type.Record(Type.String({ maxLength: 300 }), Type.Unknown()) });

/** `/os-quota-class-sets`: `default` holds what projects have that nobody set anything for; other classes are only kept. */
export function quotaClassSetRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "quota-class-sets.show",
      method: "GET",
      path: PATH,
      policy: `${RULE}:get`,
      async handler(request) {
        request.authorize(`${RULE}:get`);
        const id = request.param("id");
        return { body: { quota_class_set: { id, ...(await quotasOf(store.read, ownerOf(id))) } } };
      },
    }),
    route({
      name: "quota-class-sets.update",
      method: "PUT",
      path: PATH,
      policy: `${RULE}:update`,
      body: UpdateBody,
      async handler(request) {
        request.authorize(`${RULE}:update`);
        const owner = ownerOf(request.param("id"));
        const limits = limitsOf(request.body.quota_class_set, await quotasOf(store.read, owner));
        await store.tx((t) => setQuotas(t, owner, limits));
        return { body: { quota_class_set: await quotasOf(store.read, owner) } };
      },
    }),
  ];
}

const ownerOf = (id: string): string => `class:${id}`;
