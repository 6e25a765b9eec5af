import type { MigrationProgress } from "../../../agent/protocol/compute.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { ENDED, LIVE_LISTED, type MigrationStatus, type MigrationType } from "../domain/migration-state.ts";
import type { ComputeTables, MigrationRow } from "./tables.ts";

export interface MigrationFilter {
  /** Source or destination. */
  readonly host?: string | undefined;
  readonly sourceHost?: string | undefined;
  readonly serverId?: string | undefined;
  readonly status?: string | undefined;
  readonly type?: string | undefined;
  readonly userId?: string | undefined;
  readonly projectId?: string | undefined;
  /** Epoch milliseconds, inclusive. */
  readonly changedSince?: number | undefined;
  readonly changedBefore?: number | undefined;
}

/** Newest first, after `marker` when there is one. */
export async function listMigrations(
  q: Queries,
  filter: MigrationFilter,
  page: { limit: number; marker: MigrationRow | undefined; oldestFirst?: boolean },
): Promise<MigrationRow[]> {
  const { host, marker } = { host: filter.host, marker: page.marker };
  const exact: readonly (readonly ["source_host" | "server_id" | "user_id" | "project_id", string | undefined])[] = [
    ["source_host", host === undefined ? filter.sourceHost : undefined],
    ["server_id", filter.serverId],
    ["user_id", filter.userId],
    ["project_id", filter.projectId],
  ];
  const direction = page.oldestFirst ? "asc" : "desc";
  let query = q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .selectAll()
    .orderBy("created_at", direction)
    .orderBy("number", direction)
    .limit(page.limit);
  for (const [column, value] of exact) if (value !== undefined) query = query.where(column, "=", value);
  if (host !== undefined)
    query = query.where((eb) => eb.or([eb("source_host", "=", host), eb("dest_host", "=", host)]));
  if (filter.status !== undefined) query = query.where("status", "=", filter.status as MigrationStatus);
  if (filter.type !== undefined) query = query.where("type", "=", filter.type as MigrationType);
  if (filter.changedSince !== undefined) query = query.where("updated_at", ">=", filter.changedSince);
  if (filter.changedBefore !== undefined) query = query.where("updated_at", "<=", filter.changedBefore);
  if (marker) {
    query = query.where((eb) =>
      eb.or([
        eb("created_at", "<", marker.created_at),
        eb.and([eb("created_at", "=", marker.created_at), eb("number", "<", marker.number)]),
      ]),
    );
  }
  return await query.execute();
}

export async function findMigrationByUuid(q: Queries, uuid: string): Promise<MigrationRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .selectAll()
    .where("uuid", "=", uuid)
    .executeTakeFirst();
}

export async function findMigrationOf(q: Queries, serverId: string, number: number): Promise<MigrationRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .selectAll()
    .where("server_id", "=", serverId)
    .where("number", "=", number)
    .executeTakeFirst();
}

/** A live migration under way, with the bytes that its operation last reported. */
export interface LiveMigration {
  readonly row: MigrationRow;
  readonly progress: MigrationProgress | null;
}

/** Those that the API calls in progress. */
export async function liveMigrationsOf(q: Queries, serverId: string, number?: number): Promise<LiveMigration[]> {
  let query = q
    .tables<ComputeTables & OperationTables>()
    .selectFrom("migrations")
    .leftJoin("operations", "operations.id", "migrations.operation_id")
    .selectAll("migrations")
    .select("operations.detail as detail")
    .where("migrations.server_id", "=", serverId)
    .where("migrations.type", "=", "live-migration")
    .where("migrations.status", "in", LIVE_LISTED)
    .orderBy("migrations.number");
  if (number !== undefined) query = query.where("migrations.number", "=", number);
  return (await query.execute()).map(({ detail, ...row }) => ({ row, progress: progressOf(detail) }));
}

/** Percent of the memory that has been copied, by server; servers without a report have no entry. */
export async function liveMigrationProgress(
  q: Queries,
  serverIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (serverIds.length === 0) return new Map();
  const rows = await q
    .tables<ComputeTables & OperationTables>()
    .selectFrom("migrations")
    .innerJoin("operations", "operations.id", "migrations.operation_id")
    .select(["migrations.server_id as server_id", "operations.detail as detail"])
    .where("migrations.server_id", "in", serverIds)
    .where("migrations.status", "not in", ENDED)
    .execute();
  return new Map(rows.map((row) => [row.server_id, percentOf(progressOf(row.detail))]));
}

function progressOf(detail: string | null): MigrationProgress | null {
  const progress = detail === null ? null : (JSON.parse(detail) as Partial<MigrationProgress> | null);
  return progress?.memoryTotal === undefined ? null : (progress as MigrationProgress);
}

function percentOf(progress: MigrationProgress | null): number {
  if (!progress || progress.memoryTotal <= 0) return 0;
  const copied = 100 - Math.floor((progress.memoryRemaining * 100) / progress.memoryTotal);
  return Math.max(0, Math.min(100, copied));
}
