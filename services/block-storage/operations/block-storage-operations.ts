import type { AnyOperation, Operation } from "../../../kernel/operations/definition.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { type CreateVolumeInput, createVolumeOperation } from "./create-volume.ts";
import { type DeleteVolumeInput, deleteVolumeOperation } from "./delete-volume.ts";
import { type ExtendVolumeInput, extendVolumeOperation } from "./extend-volume.ts";
import { type FailoverInput, failoverOperation } from "./failover.ts";
import { type RemoveLeftoverInput, removeLeftoverOperation } from "./remove-leftover.ts";
import { type TellFrozenInput, tellFrozenOperation } from "./tell-frozen.ts";

/** Every operation of the service, made once with what they work with. */
export interface BlockStorageOperations {
  readonly failover: Operation<FailoverInput>;
  readonly tellFrozen: Operation<TellFrozenInput>;
  readonly createVolume: Operation<CreateVolumeInput>;
  readonly deleteVolume: Operation<DeleteVolumeInput>;
  readonly extendVolume: Operation<ExtendVolumeInput>;
  readonly removeLeftover: Operation<RemoveLeftoverInput>;
}

export function blockStorageOperations(deps: BlockStorageDependencies): BlockStorageOperations {
  const removeLeftover = removeLeftoverOperation(deps);
  return {
    failover: failoverOperation(deps),
    tellFrozen: tellFrozenOperation(deps),
    createVolume: createVolumeOperation(deps, removeLeftover),
    deleteVolume: deleteVolumeOperation(deps),
    extendVolume: extendVolumeOperation(deps),
    removeLeftover,
  };
}

export function listOperations(operations: BlockStorageOperations): AnyOperation[] {
  return Object.values(operations);
}
