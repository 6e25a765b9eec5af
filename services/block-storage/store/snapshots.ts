import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { SnapshotStatus } from "../domain/volume-state.ts";
import type { BlockStorageTables, SnapshotRow } from "./tables.ts";

/** The snapshot, unless deleted. */
export async function findSnapshot(q: Queries, id: string): Promise<SnapshotRow | undefined> {
  return await snapshots(q).where("id", "=", id).executeTakeFirst();
}

/** Throws `block-storage.snapshot_not_found`. */
export async function getSnapshot(q: Queries, id: string): Promise<SnapshotRow> {
  const row = await findSnapshot(q, id);
  if (!row) throw snapshotNotFound(id);
  return row;
}

export function snapshotNotFound(id: string): CloudError {
  return new CloudError("notFound", "block-storage.snapshot_not_found", `Snapshot ${id} could not be found.`);
}

export async function snapshotsOf(q: Queries, volumeId: string): Promise<SnapshotRow[]> {
  return await snapshots(q).where("volume_id", "=", volumeId).orderBy("created_at").orderBy("id").execute();
}

function snapshots(q: Queries) {
  return q.tables<BlockStorageTables>().selectFrom("volume_snapshots").selectAll().where("deleted_at", "is", null);
}

/** The writer of a snapshot's status. */
export async function setSnapshotStatus(t: Tx, clock: Clock, id: string, status: SnapshotStatus): Promise<void> {
  await t
    .tables<BlockStorageTables>()
    .updateTable("volume_snapshots")
    .set({ status, updated_at: clock.now() })
    .where("id", "=", id)
    .where("deleted_at", "is", null)
    .execute();
}

export async function deleteSnapshotRow(t: Tx, clock: Clock, id: string): Promise<void> {
  const now = clock.now();
  await t
    .tables<BlockStorageTables>()
    .updateTable("volume_snapshots")
    .set({ status: "deleted", updated_at: now, deleted_at: now })
    .where("id", "=", id)
    .execute();
}
