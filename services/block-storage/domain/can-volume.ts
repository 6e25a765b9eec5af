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

const NO_MIGRATION: readonly (MigrationStatus | null)[] = [null, "error", "success"];

/** What holds for every kind of delete, whatever the status. Throws 400. */
export function mustBeRemovable(volume: VolumeRow): void {
  if (volume.attach_status === "attached") throw invalidVolume(`Volume ${volume.id} is still attached.`);
  const migrating = !NO_MIGRATION.includes(volume.migration_status) && !volume.migration_status?.startsWith("target:");
  if (migrating) throw invalidVolume(`Volume ${volume.id} is migrating.`);
  if (volume.group_id !== null) throw invalidVolume(`Volume ${volume.id} belongs to a group.`);
}

/** The request cannot be done with the volume as it is. */
export function invalidVolume(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_volume", message);
}
