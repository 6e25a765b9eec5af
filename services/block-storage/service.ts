import type { ServiceManifest } from "../../kernel/service/manifest.ts";
import type { BlockStorageDependencies } from "./dependencies.ts";
import { blockStorageFaces } from "./http/block-storage-face.ts";
import type { FaceDependencies } from "./http/dependencies.ts";
import { blockStorageOperations, listOperations } from "./operations/block-storage-operations.ts";
import { blockStoragePolicies } from "./policies.ts";
import { blockStorageMigrations } from "./store/tables.ts";

export interface BlockStorageService {
  readonly manifest: ServiceManifest;
}

/** The block storage service. Its listener (`blockStorageListener`) and what Compute is given (`publicVolumes`) are made apart: the fleet needs them first. */
export function createBlockStorageService(
  deps: BlockStorageDependencies,
  agents: Pick<FaceDependencies, "logs" | "delivery" | "manageable">,
): BlockStorageService {
  const operations = blockStorageOperations(deps);
  return {
    manifest: {
      name: "block-storage",
      policies: blockStoragePolicies,
      migrations: blockStorageMigrations,
      faces: blockStorageFaces({ ...deps, ...agents, operations }),
      operations: listOperations(operations),
      reconcilers: [],
    },
  };
}
