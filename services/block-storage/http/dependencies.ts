import type { CommandDelivery } from "../../../kernel/fleet/command-delivery.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import type { LogControl } from "../log-control.ts";
import type { ManageableData } from "../manageable-data.ts";
import type { BlockStorageOperations } from "../operations/block-storage-operations.ts";

/** What the API face works with. */
export interface FaceDependencies extends BlockStorageDependencies {
  readonly operations: BlockStorageOperations;
  readonly logs: LogControl;
  readonly manageable: ManageableData;
  /** Gives what a dead member of a cluster had taken to the others. */
  readonly delivery: Pick<CommandDelivery, "releaseTaken">;
}
