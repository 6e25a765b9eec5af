import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { isMigrating, MIGRATING } from "../domain/can-volume.ts";
import type { VolumeStatus } from "../domain/volume-state.ts";
import type { BlockStorageTables, VolumeRow } from "./tables.ts";

/** The volume, unless deleted. */
export async function findVolume(q: Queries, id: string): Promise<VolumeRow | undefined> {
  return await q
    .tables<BlockStorageTables>()
    .selectFrom("volumes")
    .selectAll()
    .where("id", "=", id)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
}

/** Throws `block-storage.volume_not_found`. */
export async function getVolume(q: Queries, id: string): Promise<VolumeRow> {
  const row = await findVolume(q, id);
  if (!row) throw volumeNotFound(id);
  return row;
}

/** Also when it is deleted by now. */
export async function evenDeletedVolume(q: Queries, id: string): Promise<VolumeRow | undefined> {
  return await q.tables<BlockStorageTables>().selectFrom("volumes").selectAll().where("id", "=", id).executeTakeFirst();
}

export function volumeNotFound(id: string): CloudError {
  return new CloudError("notFound", "block-storage.volume_not_found", `Volume ${id} could not be found.`);
}

/** Keeps other transactions from changing the volume until this one ends. The row as it is now, also when deleted. */
export async function lockVolume(t: Tx, id: string): Promise<VolumeRow | undefined> {
  return await t
    .tables<BlockStorageTables>()
    .updateTable("volumes")
    .set({ size_gib: sql.ref("size_gib") })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
}

/** The new status, and what changes along with it. */
export interface VolumeChange {
  readonly status?: VolumeStatus;
  readonly set?: Partial<Omit<VolumeRow, "id" | "status" | "project_id" | "created_at" | "updated_at">>;
}

/**
 * The only writer of a volume's status: compares and sets. Throws `block-storage.volume_status` (invalid, as OpenStack
 * answers 400) when the volume is in none of the expected states or is migrating, `block-storage.volume_not_found` when it is gone.
 */
export async function transition(
  t: Tx,
  options: { clock: Clock; id: string; from: readonly VolumeStatus[] | null; to: VolumeChange; action: string },
): Promise<VolumeRow> {
  const { clock, id, from, to, action } = options;
  let update = t
    .tables<BlockStorageTables>()
    .updateTable("volumes")
    .set({ ...to.set, ...(to.status === undefined ? {} : { status: to.status }), updated_at: clock.now() })
    .where("id", "=", id)
    .where("deleted_at", "is", null);
  if (from !== null) update = update.where("status", "in", from);
  // Whoever reckons with a status does not reckon with data on its way.
  if (from !== null && to.status !== undefined) {
    update = update.where((eb) =>
      eb.or([eb("migration_status", "is", null), eb("migration_status", "not in", MIGRATING)]),
    );
  }
  const row = await update.returningAll().executeTakeFirst();
  if (row) return row;
  const found = await getVolume(t, id);
  const state = isMigrating(found) ? "it is migrating" : `its status is '${found.status}'`;
  throw new CloudError("invalid", "block-storage.volume_status", `Cannot '${action}' volume ${id} while ${state}.`);
}

export async function insertVolume(t: Tx, row: VolumeRow): Promise<void> {
  await t.tables<BlockStorageTables>().insertInto("volumes").values(row).execute();
}

/** Changes what users write to a volume: nothing that its state depends on. Throws `block-storage.volume_not_found`. */
export async function updateDetails(
  t: Tx,
  clock: Clock,
  id: string,
  patch: Partial<Pick<VolumeRow, "name" | "description" | "metadata" | "image_metadata" | "bootable">>,
): Promise<VolumeRow> {
  return await transition(t, { clock, id, from: null, to: { set: patch }, action: "update" });
}
