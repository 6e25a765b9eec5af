import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, isUp } from "../../../kernel/fleet/services.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { findHost } from "../store/hosts.ts";
import type { FaceDependencies } from "./dependencies.ts";

/** True when the compute service of the host is heard and not forced down. */
export async function computeIsUp(q: Queries, deps: FaceDependencies, host: string): Promise<boolean> {
  const service = await findServiceOn(q, host, "nova-compute");
  return service !== undefined && isUp(service, deps.kernel.clock.now(), deps.fleet);
}

/** Throws the conflict of actions that need the host where the server is. */
export async function mustBeUp(q: Queries, deps: FaceDependencies, host: string): Promise<void> {
  if (await computeIsUp(q, deps, host)) return;
  throw new CloudError(
    "conflict",
    "compute.service_down",
    `Service is unavailable at this time: nova-compute on ${host}.`,
  );
}

/** A target that does not exist is a 400 in migrations; evacuations answer 404. */
export async function mustBeComputeHost(q: Queries, host: string | null): Promise<void> {
  if (host === null || (await findHost(q, host))) return;
  throw new CloudError("invalid", "compute.unknown_target", `Compute host ${host} could not be found.`);
}
