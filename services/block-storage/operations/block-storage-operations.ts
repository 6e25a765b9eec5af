import type { AnyOperation, Operation } from "../../../kernel/operations/definition.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { type ConnectVolumeInput, connectVolumeOperation } from "./connect-volume.ts";
import { type CreateSnapshotInput, createSnapshotOperation } from "./create-snapshot.ts";
import { type CreateVolumeInput, createVolumeOperation } from "./create-volume.ts";
import { type DeleteSnapshotInput, deleteSnapshotOperation } from "./delete-snapshot.ts";
import { type DeleteVolumeInput, deleteVolumeOperation } from "./delete-volume.ts";
import { type DisconnectVolumeInput, disconnectVolumeOperation } from "./disconnect-volume.ts";
import { type ExtendVolumeInput, extendVolumeOperation } from "./extend-volume.ts";
import { type FailoverInput, failoverOperation } from "./failover.ts";
import { type ManageVolumeInput, manageVolumeOperation } from "./manage-volume.ts";
import { type MigrateVolumeInput, migrateVolumeOperation } from "./migrate-volume.ts";
import { type RemoveLeftoverInput, removeLeftoverOperation } from "./remove-leftover.ts";
import { type RetypeVolumeInput, retypeVolumeOperation } from "./retype-volume.ts";
import { type TellFrozenInput, tellFrozenOperation } from "./tell-frozen.ts";
import { type TellSizeInput, tellSizeOperation } from "./tell-size.ts";
import { type UnmanageVolumeInput, unmanageVolumeOperation } from "./unmanage-volume.ts";

/** Every operation of the service, made once with what they work with. */
export interface BlockStorageOperations {
  readonly failover: Operation<FailoverInput>;
  readonly tellFrozen: Operation<TellFrozenInput>;
  readonly createVolume: Operation<CreateVolumeInput>;
  readonly deleteVolume: Operation<DeleteVolumeInput>;
  readonly extendVolume: Operation<ExtendVolumeInput>;
  readonly connectVolume: Operation<ConnectVolumeInput>;
  readonly disconnectVolume: Operation<DisconnectVolumeInput>;
  readonly createSnapshot: Operation<CreateSnapshotInput>;
  readonly deleteSnapshot: Operation<DeleteSnapshotInput>;
  readonly tellSize: Operation<TellSizeInput>;
  readonly removeLeftover: Operation<RemoveLeftoverInput>;
  readonly manageVolume: Operation<ManageVolumeInput>;
  readonly migrateVolume: Operation<MigrateVolumeInput>;
  readonly retypeVolume: Operation<RetypeVolumeInput>;
  readonly unmanageVolume: Operation<UnmanageVolumeInput>;
}

export function blockStorageOperations(deps: BlockStorageDependencies): BlockStorageOperations {
  const tellSize = tellSizeOperation();
  const removeLeftover = removeLeftoverOperation(deps);
  return {
    failover: failoverOperation(deps),
    tellFrozen: tellFrozenOperation(deps),
    createVolume: createVolumeOperation(deps, removeLeftover),
    deleteVolume: deleteVolumeOperation(deps),
    extendVolume: extendVolumeOperation(deps, tellSize),
    tellSize,
    connectVolume: connectVolumeOperation(deps),
    disconnectVolume: disconnectVolumeOperation(deps),
    createSnapshot: createSnapshotOperation(deps),
    deleteSnapshot: deleteSnapshotOperation(deps),
    removeLeftover,
    manageVolume: manageVolumeOperation(deps),
    migrateVolume: migrateVolumeOperation(deps, removeLeftover),
    retypeVolume: retypeVolumeOperation(deps, removeLeftover),
    unmanageVolume: unmanageVolumeOperation(deps),
  };
}

export function listOperations(operations: BlockStorageOperations): AnyOperation[] {
  return Object.values(operations);
}
