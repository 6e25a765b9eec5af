import { Type } from "typebox";
import { type Route, route } from "../../../kernel/http/route.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import { type Quotas, quotasOf, type Usage, usageOf } from "../store/quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";

const RULE = "os_compute_api:limits";

/** `/limits`: what a project may have, and what it has. */
export function limitRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "limits.show",
      method: "GET",
      path: "/limits",
      policy: [RULE, `${RULE}:other_project`],
      query: Type.Object({ tenant_id: Type.Optional(Type.String({ maxLength: 255 })) }),
      strictQueryFrom: "2.75",
      async handler(request) {
        const own = request.context.projectId;
        request.authorize(RULE, { project_id: own });
        const asked = request.query.tenant_id ?? own;
        if (asked !== own) request.authorize(`${RULE}:other_project`, { project_id: asked });
        const project = asked ?? "";
        const [quotas, usage] = await Promise.all([quotasOf(q, project), usageOf(q, project)]);
        const { absolute } = limitVersions.down(request.version, { quotas, absolute: absoluteLimits(quotas, usage) });
        return { body: { limits: { rate: [], absolute } } };
      },
    }),
  ];
}

interface LimitsAnswer {
  readonly quotas: Quotas;
  readonly absolute: Record<string, number>;
}

function absoluteLimits(quotas: Quotas, usage: Usage): Record<string, number> {
  return {
    maxServerMeta: quotas.metadata_items,
    maxTotalInstances: quotas.instances,
    maxTotalCores: quotas.cores,
    maxTotalRAMSize: quotas.ram,
    maxTotalKeypairs: quotas.key_pairs,
    maxServerGroups: quotas.server_groups,
    maxServerGroupMembers: quotas.server_group_members,
    totalInstancesUsed: usage.instances,
    totalCoresUsed: usage.cores,
    totalRAMUsed: usage.ram,
    totalServerGroupsUsed: usage.serverGroups,
  };
}

/** Each microversion that took limits out of the answer. */
const limitVersions = versionSteps<LimitsAnswer>([
  {
    since: "2.36",
    name: "limits of networks are gone",
    down({ absolute, quotas }) {
      Object.assign(absolute, {
        maxTotalFloatingIps: quotas.floating_ips,
        maxSecurityGroups: quotas.security_groups,
        maxSecurityGroupRules: quotas.security_group_rules,
        // Networks count these themselves.
        totalFloatingIpsUsed: 0,
        totalSecurityGroupsUsed: 0,
      });
    },
  },
  {
    since: "2.39",
    name: "limit of image metadata is gone",
    down({ absolute, quotas }) {
      absolute.maxImageMeta = quotas.metadata_items;
    },
  },
  {
    since: "2.57",
    name: "limits of injected files are gone",
    down({ absolute, quotas }) {
      absolute.maxPersonality = quotas.injected_files;
      absolute.maxPersonalitySize = quotas.injected_file_content_bytes;
    },
  },
]);
