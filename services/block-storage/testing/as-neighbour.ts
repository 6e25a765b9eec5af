import type { FleetListener } from "../../../kernel/fleet/fleet.ts";
import type { AnyOperation } from "../../../kernel/operations/definition.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { blockStorageOperations, listOperations } from "../operations/block-storage-operations.ts";
import type { BlockStoragePublic } from "../public.ts";
import { publicVolumes } from "../public-volumes.ts";
import { blockStorageListener } from "../reconcile/agent-news.ts";
import { defaultBlockStorageSettings } from "../settings.ts";

/** Block Storage as the tests of another service need it: real, but for its API. */
export interface VolumeNeighbour {
  readonly public: BlockStoragePublic;
  readonly operations: readonly AnyOperation[];
  readonly listener: FleetListener;
}

export function volumeNeighbour(deps: Omit<BlockStorageDependencies, "settings">): VolumeNeighbour {
  const whole = { ...deps, settings: defaultBlockStorageSettings };
  return {
    public: publicVolumes(whole),
    operations: listOperations(blockStorageOperations(whole)),
    listener: blockStorageListener(whole),
  };
}
