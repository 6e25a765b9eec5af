import type { Commands } from "../../kernel/fleet/commands.ts";
import type { ServiceManifest } from "../../kernel/service/manifest.ts";
import { agentConsoles } from "./consoles/agent-consoles.ts";
import type { ComputeDependencies } from "./dependencies.ts";
import { computeFaces } from "./http/compute-faces.ts";
import { computeOperations, listOperations } from "./operations/compute-operations.ts";
import { computePolicies } from "./policies.ts";
import { computeMigrations } from "./store/tables.ts";

/** The compute service. Its listener (`computeListener`) is made apart: the fleet, whose commands this needs, needs it first. */
export function createComputeService(deps: ComputeDependencies, commands: Commands): { manifest: ServiceManifest } {
  const operations = computeOperations(deps);
  const consoles = agentConsoles(commands, deps.kernel.ids);
  return {
    manifest: {
      name: "compute",
      policies: computePolicies,
      migrations: computeMigrations,
      faces: computeFaces({ ...deps, operations, consoles }),
      operations: listOperations(operations),
      reconcilers: [],
    },
  };
}
