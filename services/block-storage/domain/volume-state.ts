/** `status` of a volume, as stored; what users see of the `managing` states differs. */
export const VOLUME_STATUSES = [
  "creating",
  "available",
  "reserved",
  "attaching",
  "in-use",
  "detaching",
  "maintenance",
  "deleting",
  "extending",
  "retyping",
  "downloading",
  "uploading",
  "restoring-backup",
  "backing-up",
  "awaiting-transfer",
  "managing",
  "unmanaging",
  "error",
  "error_deleting",
  "error_extending",
  "error_restoring",
  "error_backing-up",
  "error_managing",
  "error_managing_deleting",
] as const;
export type VolumeStatus = (typeof VOLUME_STATUSES)[number];

export const SNAPSHOT_STATUSES = [
  "creating",
  "available",
  "deleting",
  "deleted",
  "updating",
  "backing-up",
  "restoring",
  "unmanaging",
  "error",
  "error_deleting",
] as const;
export type SnapshotStatus = (typeof SNAPSHOT_STATUSES)[number];

export type AttachStatus = "attached" | "detached" | "attaching" | "detaching" | "reserved" | "error_attaching";

/** `target:<volume id>` marks the copy that a migration makes of that volume. */
export type MigrationStatus = "starting" | "migrating" | "completing" | "success" | "error" | `target:${string}`;

/** A volume in such a state is being worked on by an operation of ours. */
export function isBusy(status: VolumeStatus): boolean {
  return BUSY.has(status);
}

const BUSY: ReadonlySet<VolumeStatus> = new Set([
  "creating",
  "attaching",
  "detaching",
  "deleting",
  "extending",
  "retyping",
  "downloading",
  "uploading",
  "restoring-backup",
  "backing-up",
  "managing",
  "unmanaging",
]);

/** What users see instead of states that only managing has. */
export function shownStatus(status: VolumeStatus): string {
  switch (status) {
    case "managing":
      return "creating";
    case "error_managing":
      return "error";
    case "error_managing_deleting":
      return "deleting";
    default:
      return status;
  }
}
