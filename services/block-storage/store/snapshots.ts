import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { SnapshotStatus } from "../domain/volume-state.ts";
import { havingPairs, type TimeLimit, withinTime } from "./list-conditions.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
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

/** The new status, and what changes along with it. */
export interface SnapshotChange {
  readonly status?: SnapshotStatus;
  readonly set?: Partial<Pick<SnapshotRow, "name" | "description" | "metadata" | "progress" | "deleted_at">>;
}

/**
 * The only writer of a snapshot's status: compares and sets. Throws `block-storage.snapshot_status` (invalid, as OpenStack
 * answers 400) when the snapshot is in none of the expected states, `block-storage.snapshot_not_found` when it is gone.
 */
export async function transitionSnapshot(
  t: Tx,
  options: { clock: Clock; id: string; from: readonly SnapshotStatus[] | null; to: SnapshotChange; action: string },
): Promise<SnapshotRow> {
  const { clock, id, from, to, action } = options;
  let update = t
    .tables<BlockStorageTables>()
    .updateTable("volume_snapshots")
    .set({ ...to.set, ...(to.status === undefined ? {} : { status: to.status }), updated_at: clock.now() })
    .where("id", "=", id)
    .where("deleted_at", "is", null);
  if (from !== null) update = update.where("status", "in", from);
  const row = await update.returningAll().executeTakeFirst();
  if (row) return row;
  const found = await getSnapshot(t, id);
  throw new CloudError(
    "invalid",
    "block-storage.snapshot_status",
    `Cannot '${action}' snapshot ${id} while its status is '${found.status}'.`,
  );
}

export async function insertSnapshot(t: Tx, row: SnapshotRow): Promise<void> {
  await t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(row).execute();
}

export const SNAPSHOT_SORT_COLUMNS: Readonly<Record<string, SortColumn>> = {
  created_at: { column: "volume_snapshots.created_at" },
  updated_at: { column: "volume_snapshots.updated_at", empty: 0 },
  id: { column: "volume_snapshots.id" },
  name: { column: "volume_snapshots.name", empty: "" },
  display_name: { column: "volume_snapshots.name", empty: "" },
  status: { column: "volume_snapshots.status" },
  volume_id: { column: "volume_snapshots.volume_id" },
};

export interface SnapshotFilter {
  readonly equals: Partial<Pick<SnapshotRow, "project_id" | "volume_id" | "name" | "status" | "id">>;
  /** Zone of the volume. */
  readonly zone?: string | undefined;
  /** Pairs that must be among the metadata. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly times?: readonly TimeLimit[];
}

/** One page of snapshots; newest first unless sorted otherwise. */
export async function listSnapshots(q: Queries, filter: SnapshotFilter, page: ListPage): Promise<SnapshotRow[]> {
  if (page.limit === 0) return [];
  const { order, behindMarker } = pageOrder("volume_snapshots", page);
  return await filtered(q, filter)
    .selectAll()
    .where(behindMarker)
    .orderBy(sql`${order}`)
    .limit(page.limit)
    .offset(page.offset)
    .execute();
}

export async function countSnapshots(q: Queries, filter: SnapshotFilter): Promise<number> {
  const row = await filtered(q, filter)
    .select((eb) => eb.fn.countAll<number | bigint | string>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

function filtered(q: Queries, { equals, zone, metadata, times = [] }: SnapshotFilter) {
  let query = q.tables<BlockStorageTables>().selectFrom("volume_snapshots").where("deleted_at", "is", null);
  for (const [column, value] of Object.entries(equals)) query = query.where(sql.ref(column), "=", value);
  if (zone !== undefined)
    query = query.where("volume_id", "in", (eb) => eb.selectFrom("volumes").select("id").where("zone", "=", zone));
  const conditions = [
    ...havingPairs("volume_snapshots.metadata", metadata),
    ...times.map((limit) => withinTime("volume_snapshots", limit)),
  ];
  for (const condition of conditions) query = query.where(condition);
  return query;
}
