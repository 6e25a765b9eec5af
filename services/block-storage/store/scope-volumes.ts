import { type Kysely, sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { OperationControl } from "../../../kernel/operations/control.ts";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { LEFT_BEHIND, type ReplicationStatus } from "../domain/replication-state.ts";
import type { VolumeStatus } from "../domain/volume-state.ts";
import { REMOVE_LEFTOVER } from "../operations/remove-leftover.ts";
import type { ScopeTarget } from "../operations/scope-calls.ts";
import { MOVES } from "../operations/volume-move.ts";
import { insertMessages } from "./messages.ts";
import { onPlace } from "./on-place.ts";
import type { BlockStorageTables } from "./tables.ts";

/** Stays below the variable limit of both databases. */
const CHUNK = 5_000;

/** A failover whose volumes are written down. */
export interface Failover {
  readonly kernel: { readonly clock: Clock; readonly ids: IdSource; readonly operations: OperationControl };
  readonly target: ScopeTarget;
  readonly requestId: string | null;
}

/** Volumes of which no replica exists are lost with the primary: in error, with their snapshots, until somebody resets them. */
export async function leaveBehind(t: Tx, failover: Failover): Promise<string[]> {
  const rows = await volumesOf(t.tables<BlockStorageTables>(), failover.target)
    .where("replication_status", "in", LEFT_BEHIND)
    .execute();
  const ids = rows.map((row) => row.id);
  await putInError(t, failover, ids, "not-capable");
  return ids;
}

/** Their backend need not have anything of them. */
const UNMADE: readonly VolumeStatus[] = ["creating", "managing", "error_managing"];

/**
 * What a failover did to the volumes that have a replica: those that the backend reports to be `served` keep their status, those
 * that `failed` end in error. So do those that it does not report, as it does not have them, unless they are still to be made.
 */
export async function recordFailover(
  t: Tx,
  failover: Failover,
  reported: { readonly served: readonly string[]; readonly failed: readonly string[] },
  status: ReplicationStatus,
): Promise<void> {
  const rows = await volumesOf(t.tables<BlockStorageTables>(), failover.target)
    .where((eb) => eb.or([eb("replication_status", "is", null), eb("replication_status", "not in", LEFT_BEHIND)]))
    .execute();
  const [served, failed] = [new Set(reported.served), new Set(reported.failed)];
  const came = rows.filter(({ id }) => served.has(id));
  for (const ids of chunks(came.map(({ id }) => id))) {
    await t
      .tables<BlockStorageTables>()
      .updateTable("volumes")
      .set({ replication_status: status, updated_at: failover.kernel.clock.now() })
      .where("id", "in", ids)
      .execute();
  }
  const lost = rows.filter(({ id, status: was }) => failed.has(id) || !(served.has(id) || UNMADE.includes(was)));
  await putInError(
    t,
    failover,
    lost.map(({ id }) => id),
    "failover-error",
  );
}

/** On its way out already: the operation that removes it goes on. */
const LEAVING: readonly VolumeStatus[] = ["deleting", "unmanaging"];

/** What is under way for them ends with that: it would wait for a backend that does not serve them any more. */
async function putInError(t: Tx, failover: Failover, volumes: readonly string[], replication: ReplicationStatus) {
  const { kernel, requestId } = failover;
  const { clock, operations } = kernel;
  const db = t.tables<BlockStorageTables & OperationTables>();
  const updated_at = clock.now();
  for (const ids of chunks(volumes)) {
    const left = await db
      .updateTable("volumes")
      .set({ previous_status: sql.ref("status"), status: "error", replication_status: replication, updated_at })
      .where("id", "in", ids)
      .where("status", "not in", LEAVING)
      .where("deleted_at", "is", null)
      .returning(["id", "project_id", "previous_status"])
      .execute();
    const snapshots = await db
      .updateTable("volume_snapshots")
      .set({ status: "error", updated_at })
      .where("volume_id", "in", ids)
      .where("status", "!=", "deleting")
      .where("deleted_at", "is", null)
      .returning("id")
      .execute();
    // Of those that have been in error, their owner knows.
    const lost = left.filter(({ previous_status }) => previous_status !== "error");
    await insertMessages(
      t,
      kernel,
      lost.map(({ id: resourceId, project_id: projectId }) => {
        return { projectId, requestId, resource: "VOLUME", resourceId, action: "failover", detail: "leftBehind" };
      }),
    );
    const hit = [...left, ...snapshots].map(({ id }) => id);
    if (hit.length === 0) continue;
    const live = await db
      .selectFrom("operations")
      .select(["id", "name", "cancellable"])
      .where("resource_id", "in", hit)
      .where("state", "not in", FINAL_STATES)
      .where("name", "!=", REMOVE_LEFTOVER)
      .execute();
    for (const { id, name, cancellable } of live) {
      if (!MOVES.includes(name)) await operations.abandon(t, id);
      // One that only goes forward arrives here. It ends when this backend serves the volume again, or by a reset.
      else if (cancellable === 1) await operations.cancel(t, id);
    }
  }
}

function volumesOf(db: Kysely<BlockStorageTables>, { scope, to }: ScopeTarget) {
  return db
    .selectFrom("volumes")
    .select(["id", "status"])
    .where("deleted_at", "is", null)
    .where(onPlace("cluster" in to ? "cluster_name" : "host", scope));
}

function* chunks(ids: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < ids.length; i += CHUNK) yield ids.slice(i, i + CHUNK);
}
