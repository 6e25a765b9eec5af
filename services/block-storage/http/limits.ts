import { Type } from "typebox";
import { type Route, route } from "../../../kernel/http/route.ts";
import { quotasOf, usageOf } from "../store/volume-quotas.ts";
import type { FaceDependencies } from "./dependencies.ts";

const RULE = "limits_extension:used_limits";
const id = Type.Optional(Type.String({ maxLength: 255 }));

/** `/limits`: what a project may have, and what it has. */
export function limitRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "limits.show",
      method: "GET",
      path: "/limits",
      policy: RULE,
      query: Type.Object({ project_id: id, tenant_id: id }),
      async handler(request) {
        const asked = request.version.atLeast("3.39")
          ? (request.query.project_id ?? request.query.tenant_id)
          : undefined;
        const { projectId: own, isAdmin } = request.context;
        // Who is no administrator is shown the own limits, whatever was asked.
        const project = (isAdmin ? asked : undefined) ?? own ?? "";
        request.authorize(RULE, { project_id: project });
        const [quotas, usage] = [await quotasOf(q, project), await usageOf(q, project)];
        const absolute = {
          maxTotalVolumes: quotas.volumes,
          maxTotalVolumeGigabytes: quotas.gigabytes,
          maxTotalSnapshots: quotas.snapshots,
          maxTotalBackups: quotas.backups,
          maxTotalBackupGigabytes: quotas.backup_gigabytes,
          totalVolumesUsed: usage.volumes ?? 0,
          totalGigabytesUsed: usage.gigabytes ?? 0,
          totalSnapshotsUsed: usage.snapshots ?? 0,
          totalBackupsUsed: 0,
          totalBackupGigabytesUsed: 0,
        };
        return { body: { limits: { rate: [], absolute } } };
      },
    }),
  ];
}
