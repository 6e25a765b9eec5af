import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { awaitsCleanupAfterEvacuation } from "../store/host-removal.ts";
import { COMPUTE } from "./service-view.ts";

/** Throws unless the binary is one that operators may change here. */
export function mustBeCompute(binary: string): void {
  if (binary === COMPUTE) return;
  const why = `Updating a ${binary} service is not supported. Only ${COMPUTE} services can be updated.`;
  throw new CloudError("invalid", "compute.service_not_updatable", why);
}

/** Throws when servers were evacuated from the host and its agent has not started since: it might still run their guests. */
export async function mayComeBack(q: Queries, row: ServiceRow): Promise<void> {
  if (row.forced_down === 0 || !(await awaitsCleanupAfterEvacuation(q, row.host))) return;
  const why = `Unable to force up host ${row.host} as it has evacuated servers that are not cleaned up: restart its compute service first.`;
  throw new CloudError("invalid", "compute.evacuations_not_cleaned", why);
}
