import { isoMicros } from "../../../kernel/clock/clock.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { SnapshotRow } from "../store/tables.ts";

/** Decides whether progress and project are seen. */
export const EXTENDED_SNAPSHOT = "volume_extension:extended_snapshot_attributes";

export type SnapshotView = Record<string, unknown>;

/** The short form, which lists without details have too. */
export function snapshotSummary(row: SnapshotRow): SnapshotView {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    volume_id: row.volume_id,
    status: row.status,
    size: row.size_gib,
    created_at: isoMicros(row.created_at),
    updated_at: row.updated_at === null ? null : isoMicros(row.updated_at),
    metadata: JSON.parse(row.metadata),
    consumes_quota: row.consumes_quota === 1,
    user_id: row.user_id,
  };
}

export function snapshotDetail(request: Pick<ApiRequest, "check">, row: SnapshotRow): SnapshotView {
  const view = { ...snapshotSummary(row), group_snapshot_id: null };
  if (!request.check(EXTENDED_SNAPSHOT, { project_id: row.project_id })) return view;
  return {
    ...view,
    "os-extended-snapshot-attributes:progress": row.progress,
    "os-extended-snapshot-attributes:project_id": row.project_id,
  };
}

/** Each microversion that added to how a snapshot looks. */
export const snapshotVersions = versionSteps<SnapshotView>([
  { since: "3.14", name: "group_snapshot_id", down: (snapshot) => void delete snapshot.group_snapshot_id },
  { since: "3.41", name: "user_id", down: (snapshot) => void delete snapshot.user_id },
  { since: "3.65", name: "consumes_quota", down: (snapshot) => void delete snapshot.consumes_quota },
]);
