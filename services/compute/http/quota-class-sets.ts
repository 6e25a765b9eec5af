import { Type } from "typebox";
import type { ApiVersion } from "../../../kernel/http/api-version.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { type Quotas, quotasOf, setQuotas } from "../store/quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedLimits, byQuotaVersion, visibleQuotas } from "./quota-fields.ts";

const RULE = "os_compute_api:os-quota-class-sets";
const PATH = "/os-quota-class-sets/:id";

const Body = Type.Object({ quota_class_set: Type.Record(Type.String(), Type.Unknown()) });
const updateBody = byQuotaVersion((fields): typeof Body => {
  const set = Type.Object(fields, { additionalProperties: false });
  return Type.Object({ quota_class_set: set }, { additionalProperties: false }) as unknown as typeof Body;
});

/** `/os-quota-class-sets`: `default` holds what projects have that nobody set anything for; other classes are only kept. */
export function quotaClassSetRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const read = async (id: string, version: ApiVersion) => visible(version, await quotasOf(store.read, ownerOf(id)));
  return [
    route({
      name: "quota-class-sets.show",
      method: "GET",
      path: PATH,
      policy: `${RULE}:show`,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:show`, { quota_class: id });
        return { body: { quota_class_set: { id, ...(await read(id, request.version)) } } };
      },
    }),
    route({
      name: "quota-class-sets.update",
      method: "PUT",
      path: PATH,
      policy: `${RULE}:update`,
      body: updateBody,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:update`, { quota_class: id });
        await store.tx((t) => setQuotas(t, ownerOf(id), askedLimits(request.body.quota_class_set)));
        return { body: { quota_class_set: await read(id, request.version) } };
      },
    }),
  ];
}

const ownerOf = (id: string): string => `class:${id}`;

/** Up to 2.49 classes did not speak of server groups. */
function visible(version: ApiVersion, quotas: Quotas): Partial<Quotas> {
  const all = visibleQuotas(version, quotas);
  if (version.atLeast("2.50")) return all;
  const { server_groups: _groups, server_group_members: _members, ...others } = all;
  return others;
}
