import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { ENDED, type MigrationStatus, type MigrationType } from "../domain/migration-state.ts";
import type { ComputeTables, MigrationRow } from "./tables.ts";

export interface NewMigration {
  readonly serverId: string;
  readonly type: MigrationType;
  readonly status: MigrationStatus;
  readonly sourceHost: string;
  readonly oldFlavorNumber: number;
  readonly newFlavorNumber: number;
  readonly operationId: string;
  readonly userId: string;
  readonly projectId: string;
}

/** Opens a migration record; returns its integer id. */
export async function createMigration(
  t: Tx,
  tools: { clock: Clock; ids: IdSource },
  migration: NewMigration,
): Promise<number> {
  const now = tools.clock.now();
  const number = await nextNumber(t, "compute.migration");
  await t
    .tables<ComputeTables>()
    .insertInto("migrations")
    .values({
      number,
      uuid: tools.ids.uuid(),
      server_id: migration.serverId,
      type: migration.type,
      status: migration.status,
      source_host: migration.sourceHost,
      dest_host: null,
      dest_address: null,
      old_flavor_number: migration.oldFlavorNumber,
      new_flavor_number: migration.newFlavorNumber,
      operation_id: migration.operationId,
      user_id: migration.userId,
      project_id: migration.projectId,
      created_at: now,
      updated_at: now,
    })
    .execute();
  return number;
}

/** The only writer of a migration's status. Records that have ended stay as they are, `done` may still become `completed`. */
export async function setMigration(
  t: Tx,
  clock: Clock,
  number: number,
  change: {
    status?: MigrationStatus;
    from?: readonly MigrationStatus[];
    destHost?: string | null;
    destAddress?: string | null;
  },
): Promise<void> {
  let update = t
    .tables<ComputeTables>()
    .updateTable("migrations")
    .set({
      ...(change.status === undefined ? {} : { status: change.status }),
      ...(change.destHost === undefined ? {} : { dest_host: change.destHost }),
      ...(change.destAddress === undefined ? {} : { dest_address: change.destAddress }),
      updated_at: clock.now(),
    })
    .where("number", "=", number)
    .where("status", "not in", ENDED);
  if (change.from) update = update.where("status", "in", change.from);
  const changed = await update.executeTakeFirst();
  if (change.from && changed.numUpdatedRows !== 1n) {
    throw new CloudError(
      "invalid",
      "compute.migration_state",
      `Migration ${number} is no longer ${change.from.join(" or ")}.`,
    );
  }
}

export async function migrationStatus(q: Queries, number: number): Promise<MigrationStatus | undefined> {
  const row = await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .select("status")
    .where("number", "=", number)
    .executeTakeFirst();
  return row?.status;
}

/** The server's migration that waits for confirm or revert. */
export async function finishedMigration(q: Queries, serverId: string): Promise<MigrationRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .selectAll()
    .where("server_id", "=", serverId)
    .where("status", "=", "finished")
    .orderBy("number", "desc")
    .executeTakeFirst();
}

/** Ends every record of the server that is still open (and in `from`), when the operation behind it was abandoned. */
export async function endOpenMigrations(
  t: Tx,
  clock: Clock,
  serverId: string,
  status: MigrationStatus,
  from?: readonly MigrationStatus[],
): Promise<void> {
  let update = t
    .tables<ComputeTables>()
    .updateTable("migrations")
    .set({ status, updated_at: clock.now() })
    .where("server_id", "=", serverId)
    .where("status", "not in", [...ENDED, "done"]);
  if (from) update = update.where("status", "in", from);
  await update.execute();
}

/** An evacuation is complete once the failed host has been cleaned. */
export async function completeEvacuations(t: Tx, clock: Clock, serverId: string, sourceHost: string): Promise<void> {
  await t
    .tables<ComputeTables>()
    .updateTable("migrations")
    .set({ status: "completed", updated_at: clock.now() })
    .where("server_id", "=", serverId)
    .where("source_host", "=", sourceHost)
    .where("type", "=", "evacuation")
    .where("status", "=", "done")
    .execute();
}
