import { type Kysely, sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { LEFT_BEHIND, type ReplicationStatus } from "../domain/replication-state.ts";
import type { ScopeTarget } from "../operations/scope-calls.ts";
import { onPlace } from "./on-place.ts";
import type { BlockStorageTables } from "./tables.ts";

/** Stays below the variable limit of both databases. */
const CHUNK = 5_000;

/** Volumes of which no replica exists are lost with the primary: in error, with their snapshots, until somebody resets them. */
export async function leaveBehind(t: Tx, clock: Clock, target: ScopeTarget): Promise<string[]> {
  const rows = await volumesOf(t.tables<BlockStorageTables>(), target)
    .where("replication_status", "in", LEFT_BEHIND)
    .execute();
  const ids = rows.map((row) => row.id);
  await putInError(t, clock, ids, "not-capable");
  return ids;
}

/** What a failover did to the volumes that have a replica: those that failed end in error, the others keep their status. */
export async function recordFailover(
  t: Tx,
  clock: Clock,
  target: ScopeTarget,
  failed: readonly string[],
  status: ReplicationStatus,
): Promise<void> {
  const rows = await volumesOf(t.tables<BlockStorageTables>(), target)
    .where((eb) => eb.or([eb("replication_status", "is", null), eb("replication_status", "not in", LEFT_BEHIND)]))
    .execute();
  const lost = new Set(failed);
  const replicated = rows.map((row) => row.id);
  for (const ids of chunks(replicated.filter((id) => !lost.has(id)))) {
    await t
      .tables<BlockStorageTables>()
      .updateTable("volumes")
      .set({ replication_status: status, updated_at: clock.now() })
      .where("id", "in", ids)
      .execute();
  }
  await putInError(
    t,
    clock,
    replicated.filter((id) => lost.has(id)),
    "failover-error",
  );
}

async function putInError(t: Tx, clock: Clock, volumes: readonly string[], replication: ReplicationStatus) {
  const db = t.tables<BlockStorageTables>();
  const updated_at = clock.now();
  for (const ids of chunks(volumes)) {
    await db
      .updateTable("volumes")
      .set({ previous_status: sql.ref("status"), status: "error", replication_status: replication, updated_at })
      .where("id", "in", ids)
      .where("deleted_at", "is", null)
      .execute();
    await db
      .updateTable("volume_snapshots")
      .set({ status: "error", updated_at })
      .where("volume_id", "in", ids)
      .where("deleted_at", "is", null)
      .execute();
  }
}

function volumesOf(db: Kysely<BlockStorageTables>, { scope, to }: ScopeTarget) {
  return db
    .selectFrom("volumes")
    .select("id")
    .where("deleted_at", "is", null)
    .where(onPlace("cluster" in to ? "cluster_name" : "host", scope));
}

function* chunks(ids: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < ids.length; i += CHUNK) yield ids.slice(i, i + CHUNK);
}
