import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { VolumeRow } from "../store/tables.ts";
import type { MigrationStatus, SnapshotStatus, VolumeStatus } from "./volume-state.ts";

/** From these an ordinary delete begins. */
export const DELETABLE: readonly VolumeStatus[] = [
  "available",
  "error",
  "error_restoring",
  "error_extending",
  "error_managing",
];
export const DELETABLE_SNAPSHOT: readonly SnapshotStatus[] = ["available", "error"];
/** What can be copied from. */
export const READABLE: readonly VolumeStatus[] = ["available", "in-use"];

/** While its data is on its way to another backend a volume is not to be changed. */
export const MIGRATING: readonly MigrationStatus[] = ["starting", "migrating", "completing"];

export function isMigrating({ migration_status: status }: Pick<VolumeRow, "migration_status">): boolean {
  return status !== null && MIGRATING.includes(status);
}

/** What is done to a volume while somebody has it, and gives it its status back. */
export const CHANGING: readonly VolumeStatus[] = ["extending", "retyping"];

/** It moves, grows or changes its type: whoever has it has to keep it until that has ended. */
export function isChanging(volume: Pick<VolumeRow, "status" | "migration_status">): boolean {
  return isMigrating(volume) || CHANGING.includes(volume.status);
}

/** What holds for every kind of delete, whatever the status. Throws 400. */
export function mustBeRemovable(volume: VolumeRow): void {
  if (volume.attach_status === "attached") throw invalidVolume(`Volume ${volume.id} is still attached.`);
  if (isMigrating(volume)) throw invalidVolume(`Volume ${volume.id} is migrating.`);
  if (volume.group_id !== null) throw invalidVolume(`Volume ${volume.id} belongs to a group.`);
}

/** The request cannot be done with the volume as it is. */
export function invalidVolume(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_volume", message);
}
