import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { digits } from "../../../kernel/http/schemas.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { type NetworkContext, QUOTA_RESOURCES } from "../settings.ts";
import { clearQuotas, countUsed, projectsWithQuotas, quotasOf, setQuotas } from "../store/quotas.ts";
import { ownerFields } from "./resource.ts";

const LimitValue = Type.Optional(digits(-1, 2 ** 31 - 1));
const Limits = Type.Object(
  {
    ...ownerFields,
    network: LimitValue,
    subnet: LimitValue,
    port: LimitValue,
    security_group: LimitValue,
    security_group_rule: LimitValue,
    force: Type.Optional(Type.Boolean()),
    check_limit: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

export function quotaRoutes(store: Store, context: NetworkContext): Route[] {
  const projectOf = (request: ApiRequest, rule: string): string => {
    const project_id = request.param("project");
    request.authorize(rule, { project_id, tenant_id: project_id });
    return project_id;
  };
  const details = (name: string, path: string) =>
    route({
      name,
      method: "GET",
      path,
      policy: "get_quota",
      async handler(request) {
        const project = projectOf(request, "get_quota");
        const limits = await quotasOf(store.read, project, context.quotas);
        const entries = QUOTA_RESOURCES.map(async (resource) => {
          const used = await countUsed(store.read, project, resource);
          return [resource, { limit: limits[resource], used, reserved: 0 }] as const;
        });
        return { body: { quota: Object.fromEntries(await Promise.all(entries)) } };
      },
    });
  return [
    route({
      name: "quotas.list",
      method: "GET",
      path: "/quotas",
      policy: "list_quotas",
      async handler(request) {
        request.authorize("list_quotas");
        const projects = await projectsWithQuotas(store.read);
        const quotas = projects.map(async (project_id) => ({
          project_id,
          tenant_id: project_id,
          ...(await quotasOf(store.read, project_id, context.quotas)),
        }));
        return { body: { quotas: await Promise.all(quotas) } };
      },
    }),
    route({
      name: "quotas.show",
      method: "GET",
      path: "/quotas/:project",
      policy: "get_quota",
      async handler(request) {
        const project = projectOf(request, "get_quota");
        return { body: { quota: await quotasOf(store.read, project, context.quotas) } };
      },
    }),
    route({
      name: "quotas.default",
      method: "GET",
      path: "/quotas/:project/default",
      policy: "get_quota",
      handler(request) {
        projectOf(request, "get_quota");
        return { body: { quota: context.quotas } };
      },
    }),
    details("quotas.details", "/quotas/:project/details"),
    // As gophercloud, and Terraform with it, ask.
    details("quotas.details-json", "/quotas/:project/details.json"),
    route({
      name: "quotas.update",
      method: "PUT",
      path: "/quotas/:project",
      policy: "update_quota",
      body: Type.Object({ quota: Limits }, { additionalProperties: false }),
      async handler(request) {
        const project = projectOf(request, "update_quota");
        const { quota } = request.body;
        const given = QUOTA_RESOURCES.flatMap((name) =>
          quota[name] === undefined ? [] : [[name, Number(quota[name])] as const],
        );
        const limits = await store.tx(async (t) => {
          await setQuotas(t, project, Object.fromEntries(given));
          return await quotasOf(t, project, context.quotas);
        });
        return { body: { quota: limits } };
      },
    }),
    route({
      name: "quotas.delete",
      method: "DELETE",
      path: "/quotas/:project",
      policy: "delete_quota",
      success: 204,
      async handler(request) {
        const project = projectOf(request, "delete_quota");
        await store.tx((t) => clearQuotas(t, project));
        return {};
      },
    }),
  ];
}
