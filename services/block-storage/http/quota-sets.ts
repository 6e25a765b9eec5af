import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own } from "../../../kernel/http/own.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import { type Amounts, DEFAULT_CLASS, deleteQuotas, quotasOf, setQuotas, usageOf } from "../store/volume-quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";

const RULE = "volume_extension:quotas";
const PATH = "/os-quota-sets/:id";

/** Which keys and values are limits is found out by `limitsOf`. */
const UpdateBody = Type.Object({ quota_set: Type.Record(Type.String({ maxLength: 300 }), Type.Unknown()) });

/** What clients send along that is no limit. */
const NO_LIMITS = ["tenant_id", "class_name", "skip_validation", "force"];
const MOST = 0x7fff_ffff;

/** `/os-quota-sets/{project}` */
export function quotaSetRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const q = store.read;
  return [
    route({
      name: "quota-sets.show",
      method: "GET",
      path: PATH,
      policy: `${RULE}:show`,
      query: Type.Object({ usage: Type.Optional(Type.String()) }),
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:show`, { project_id: id });
        const quotas = await quotasOf(q, id);
        if (!askedUsage(request.query.usage)) return { body: { quota_set: { id, ...quotas } } };
        const usage = await usageOf(q, id);
        const details = Object.entries(quotas).map(([name, limit]) => [
          name,
          { limit, in_use: usage[name] ?? 0, reserved: 0 },
        ]);
        return { body: { quota_set: { id, ...Object.fromEntries(details) } } };
      },
    }),
    route({
      name: "quota-sets.defaults",
      method: "GET",
      path: `${PATH}/defaults`,
      policy: `${RULE}:show`,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:show`, { project_id: id });
        return { body: { quota_set: { id, ...(await quotasOf(q, DEFAULT_CLASS)) } } };
      },
    }),
    route({
      name: "quota-sets.update",
      method: "PUT",
      path: PATH,
      policy: `${RULE}:update`,
      body: UpdateBody,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:update`, { project_id: id });
        const { quota_set: set } = request.body;
        const known = await quotasOf(q, id);
        const limits = limitsOf(set, known);
        if (looseBoolean(String(set.skip_validation ?? "false")) !== true) mustHoldUsage(limits, await usageOf(q, id));
        await store.tx((t) => setQuotas(t, id, limits));
        return { body: { quota_set: await quotasOf(q, id) } };
      },
    }),
    route({
      name: "quota-sets.delete",
      method: "DELETE",
      path: PATH,
      policy: `${RULE}:delete`,
      async handler(request) {
        const id = request.param("id");
        request.authorize(`${RULE}:delete`, { project_id: id });
        await store.tx((t) => deleteQuotas(t, id));
        return undefined;
      },
    }),
  ];
}

function askedUsage(text: string | undefined): boolean {
  if (text === undefined) return false;
  const value = looseBoolean(text);
  if (value === undefined) throw invalidQuota(`Invalid value '${text.slice(0, 40)}' for 'usage'.`);
  return value;
}

/** The limits in a body. Throws 400 for keys that are not in `known`, and for values that are no limits. */
export function limitsOf(set: Readonly<Record<string, unknown>>, known: Amounts): Amounts {
  const limits: Record<string, number> = {};
  for (const [name, value] of Object.entries(set)) {
    if (NO_LIMITS.includes(name) || value === null) continue;
    if (own(known, name) === undefined) throw invalidQuota(`Bad key(s) in quota set: ${name}`);
    const limit = typeof value === "string" && /^-?\d{1,10}$/.test(value) ? Number(value) : value;
    if (typeof limit !== "number" || !Number.isInteger(limit) || limit < -1 || limit > MOST)
      throw invalidQuota(`Quota limit for ${name} must be an integer from -1 to ${MOST}.`);
    limits[name] = limit;
  }
  return limits;
}

function mustHoldUsage(limits: Amounts, usage: Amounts): void {
  for (const [name, limit] of Object.entries(limits)) {
    if (limit < 0 || limit >= (usage[name] ?? 0)) continue;
    throw invalidQuota(`Quota limit ${limit} for ${name} is below what is in use: ${usage[name] ?? 0}.`);
  }
}

function invalidQuota(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_quota", message);
}
