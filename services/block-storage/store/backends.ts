import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { BackendRow, BlockStorageTables, ClusterRow } from "./tables.ts";

/** What backends and clusters have in common; for a clustered backend the cluster's counts. */
export type ScopeState = Pick<BackendRow, "frozen" | "replication_status" | "active_backend_id">;

/**
 * What freeze, thaw and failover act on: a stand-alone backend, or a cluster with its members. Volumes, statistics and
 * commands belong to it.
 */
export interface Scope {
  /** `cluster@backend`, or `node@backend`: also the resource of its operations. */
  readonly name: string;
  readonly cluster: ClusterRow | null;
  /** In the order of their names; one when it is no cluster. */
  readonly members: readonly BackendRow[];
}

/** The state that counts. */
export function stateOfScope(scope: Scope): ScopeState {
  const state = scope.cluster ?? scope.members[0];
  return state ?? { frozen: 0, replication_status: "not-capable", active_backend_id: null };
}

export async function findBackend(q: Queries, host: string): Promise<BackendRow | undefined> {
  return await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_backends")
    .selectAll()
    .where("host", "=", host)
    .executeTakeFirst();
}

export async function findCluster(q: Queries, name: string): Promise<ClusterRow | undefined> {
  return await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_clusters")
    .selectAll()
    .where("name", "=", name)
    .executeTakeFirst();
}

/**
 * The scope of that name, as it is now, and locked: no other transaction places a volume there or changes its flags
 * until this one ends. Null when there is none.
 */
export async function lockScope(t: Tx, name: string): Promise<Scope | null> {
  const db = t.tables<BlockStorageTables>();
  const cluster = await db
    .updateTable("volume_clusters")
    .set({ frozen: sql.ref("frozen") })
    .where("name", "=", name)
    .returningAll()
    .executeTakeFirst();
  if (cluster) return { name, cluster, members: await membersOf(t, name) };
  const backend = await db
    .updateTable("volume_backends")
    .set({ frozen: sql.ref("frozen") })
    .where("host", "=", name)
    .where("cluster", "is", null)
    .returningAll()
    .executeTakeFirst();
  return backend ? { name, cluster: null, members: [backend] } : null;
}

export async function membersOf(q: Queries, cluster: string): Promise<BackendRow[]> {
  return await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_backends")
    .selectAll()
    .where("cluster", "=", cluster)
    .orderBy("host")
    .execute();
}

/** Writes the state of a locked scope: the cluster and all members, or only those members that are named. */
export async function updateScope(
  t: Tx,
  clock: Clock,
  scope: Scope,
  patch: Partial<ScopeState>,
  members: readonly BackendRow[] = scope.members,
): Promise<void> {
  const db = t.tables<BlockStorageTables>();
  const changed = { ...patch, updated_at: clock.now() };
  if (scope.cluster) await db.updateTable("volume_clusters").set(changed).where("name", "=", scope.name).execute();
  if (members.length === 0) return;
  const hosts = members.map((member) => member.host);
  await db.updateTable("volume_backends").set(changed).where("host", "in", hosts).execute();
}
