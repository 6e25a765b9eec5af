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

/** A backend may be failed over only from these. */
export const MAY_FAIL_OVER: readonly ReplicationStatus[] = ["enabled", "failed-over"];

/**
 * What a start of the volume service makes of the status: recomputed from what the driver says, except that a backend
 * which runs on its secondary keeps doing so. Null: no change.
 *
 * A failover that is under way is none of its business: its operation ends it, also across restarts.
 */
export function statusAtStart(
  current: ReplicationStatus,
  driver: { replicationEnabled: boolean; failingOver: boolean },
): ReplicationStatus | null {
  if (current === "failed-over" || driver.failingOver) return null;
  const next = driver.replicationEnabled ? "enabled" : "disabled";
  return next === current ? null : next;
}

/** Whether a failover leaves the volume behind, in error: everything that no replica exists of. Null counts as replicated. */
export function isLeftBehind(status: ReplicationStatus | null): boolean {
  return status === "disabled" || status === "not-capable";
}
