import type { ServiceManifest } from "../../kernel/service/manifest.ts";
import type { BlockStorageDependencies } from "./dependencies.ts";
import { blockStorageFaces } from "./http/block-storage-face.ts";
import type { FaceDependencies } from "./http/dependencies.ts";
import { blockStorageOperations, listOperations } from "./operations/block-storage-operations.ts";
import { blockStoragePolicies } from "./policies.ts";
import type { BlockStoragePublic } from "./public.ts";
import { blockStorageMigrations } from "./store/tables.ts";
import { findVolume } from "./store/volumes.ts";

export interface BlockStorageService {
  readonly manifest: ServiceManifest;
  readonly public: BlockStoragePublic;
}

/** The block storage service. Its listener (`blockStorageListener`) is made apart: the fleet needs it first. */
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
    public: { find: findVolume },
  };
}
