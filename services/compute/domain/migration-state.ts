/** Statuses of migration records (compute contract, migration status reference). */
export type MigrationStatus =
  | "accepted"
  | "queued"
  | "preparing"
  | "running"
  | "running (post-copy)"
  | "pre-migrating"
  | "migrating"
  | "post-migrating"
  | "finished"
  | "confirming"
  | "reverting"
  | "confirmed"
  | "reverted"
  | "completed"
  | "done"
  | "cancelled"
  | "failed"
  | "error";

export type MigrationType = "migration" | "resize" | "live-migration" | "evacuation";

/** Nothing more happens to these. */
export const ENDED: readonly MigrationStatus[] = ["confirmed", "reverted", "completed", "cancelled", "failed", "error"];

/** A service with such migrations cannot be deleted; `done` waits for the old host but does not block. */
export function blocksServiceDeletion(status: MigrationStatus): boolean {
  return !ENDED.includes(status) && status !== "done";
}

/** Live migrations that the per-server API lists. `accepted` and post-copy are left out, as upstream does. */
export const LIVE_LISTED: readonly MigrationStatus[] = ["queued", "preparing", "running", "post-migrating"];
