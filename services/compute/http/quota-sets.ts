import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, isTrue } from "../../../kernel/http/schemas.ts";
import { DEFAULT_CLASS, deleteQuotas, type Quotas, quotasOf, setQuotas, type Usage, usageOf } from "../store/quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mustBeProject } from "./project-check.ts";
import { askedLimits, byQuotaVersion, visibleQuotas } from "./quota-fields.ts";

const RULE = "os_compute_api:os-quota-sets";
const PATH = "/os-quota-sets/:id";

/** Quotas are of projects here; what older clients send as a user is only taken where it changes nothing. */
const query = Type.Object({ user_id: Type.Optional(Type.String({ maxLength: 255 })) });
const noQuery = Type.Object({});

const Body = Type.Object({ quota_set: Type.Record(Type.String(), Type.Unknown()) });
const updateBody = byQuotaVersion((fields): typeof Body => {
  const set = Type.Object({ ...fields, force: Type.Optional(BodyBoolean) }, { additionalProperties: false });
  return Type.Object({ quota_set: set }, { additionalProperties: false }) as unknown as typeof Body;
});

/** `/os-quota-sets` */
export function quotaSetRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const q = store.read;
  return [
    route({
      name: "quota-sets.show",
      method: "GET",
      path: PATH,
      policy: `${RULE}:show`,
      query,
      strictQueryFrom: "2.75",
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:show`, { project_id: id });
        return { body: { quota_set: { id, ...visibleQuotas(request.version, await quotasOf(q, id)) } } };
      },
    }),
    route({
      name: "quota-sets.detail",
      method: "GET",
      path: `${PATH}/detail`,
      policy: `${RULE}:detail`,
      query,
      strictQueryFrom: "2.75",
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:detail`, { project_id: id });
        const [quotas, usage] = await Promise.all([quotasOf(q, id), usageOf(q, id)]);
        const limits = Object.entries(visibleQuotas(request.version, quotas));
        const details = limits.map(([name, limit]) => [name, { limit, in_use: inUse(usage, name), reserved: 0 }]);
        return { body: { quota_set: { id, ...Object.fromEntries(details) } } };
      },
    }),
    route({
      name: "quota-sets.defaults",
      method: "GET",
      path: `${PATH}/defaults`,
      policy: `${RULE}:defaults`,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:defaults`, { project_id: id });
        return { body: { quota_set: { id, ...visibleQuotas(request.version, await quotasOf(q, DEFAULT_CLASS)) } } };
      },
    }),
    route({
      name: "quota-sets.update",
      method: "PUT",
      path: PATH,
      policy: `${RULE}:update`,
      query: noQuery,
      strictQueryFrom: "always",
      body: updateBody,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:update`, { project_id: id });
        await mustBeProject(q, id);
        const { limits, force } = limitsOf(request.body);
        if (!force) mustHoldUsage(limits, await usageOf(q, id));
        await store.tx((t) => setQuotas(t, id, limits));
        return { body: { quota_set: visibleQuotas(request.version, await quotasOf(q, id)) } };
      },
    }),
    route({
      name: "quota-sets.delete",
      method: "DELETE",
      path: PATH,
      policy: `${RULE}:delete`,
      success: 202,
      query: noQuery,
      strictQueryFrom: "always",
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:delete`, { project_id: id });
        await store.tx((t) => deleteQuotas(t, id));
        return undefined;
      },
    }),
  ];
}

/** What is counted per project; of the rest each server, user or network has its own count. */
function inUse(usage: Usage, name: string): number {
  switch (name) {
    case "instances":
    case "cores":
    case "ram":
      return usage[name];
    case "server_groups":
      return usage.serverGroups;
    default:
      return 0;
  }
}

function limitsOf({ quota_set }: Static<typeof Body>): { limits: Partial<Quotas>; force: boolean } {
  const { force = false } = quota_set;
  return { limits: askedLimits(quota_set), force: isTrue(force as boolean | string) };
}

function mustHoldUsage(limits: Partial<Quotas>, usage: Usage): void {
  for (const [name, limit] of Object.entries(limits)) {
    if (limit < 0 || limit >= inUse(usage, name)) continue;
    const why = `Quota limit ${limit} for ${name} must be greater than or equal to already used ${inUse(usage, name)}.`;
    throw new CloudError("invalid", "compute.quota_below_usage", why);
  }
}
