/** `replication_status` of a backend, a cluster or a volume. The last two are of groups and their volumes only. */
export const REPLICATION_STATUSES = [
  "not-capable",
  "disabled",
  "enabled",
  "failing-over",
  "failed-over",
  "failover-error",
  "error",
  "enabling",
  "disabling",
] as const;
export type ReplicationStatus = (typeof REPLICATION_STATUSES)[number];

/** `backend_id` that stands for the primary: a failback. */
export const PRIMARY = "default";

/** Whether a backend in that state may be failed over, or back. */
export function mayFailOver(status: ReplicationStatus): boolean {
  return status === "enabled" || status === "failed-over";
}

/**
 * What a start of the volume service makes of the status: recomputed from what the driver says, except that a backend
 * which runs on its secondary keeps doing so.
 */
export function statusAtStart(current: ReplicationStatus, replicationEnabled: boolean): ReplicationStatus {
  if (current === "failed-over") return current;
  return replicationEnabled ? "enabled" : "disabled";
}

/** Volumes of which no replica exists: a failover leaves them behind, in error. Without a status they count as replicated. */
export const LEFT_BEHIND: readonly ReplicationStatus[] = ["disabled", "not-capable"];
