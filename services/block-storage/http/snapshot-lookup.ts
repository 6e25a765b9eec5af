import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { findSnapshot, snapshotNotFound } from "../store/snapshots.ts";
import type { SnapshotRow } from "../store/tables.ts";
import { mayKnow } from "./volume-lookup.ts";

/** The snapshot that the path names. Throws 404, before any rule is asked, for what the asker may not know. */
export async function snapshotOf(q: Queries, request: Pick<ApiRequest, "context" | "param">): Promise<SnapshotRow> {
  return await knownSnapshot(q, request, request.param("id"));
}

export async function knownSnapshot(
  q: Queries,
  request: Pick<ApiRequest, "context">,
  id: string,
): Promise<SnapshotRow> {
  const row = await findSnapshot(q, id);
  if (!row || !mayKnow(request, row.project_id)) throw snapshotNotFound(id);
  return row;
}
