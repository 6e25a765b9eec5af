import { sql } from "kysely";
import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { factsOf } from "../domain/backend-facts.ts";
import { statusAtStart } from "../domain/replication-state.ts";
import { findBackend, lockScope, type Scope, type ScopeState, stateOfScope, updateScope } from "./backends.ts";
import { onPlace } from "./on-place.ts";
import { VOLUME_BINARY } from "./services.ts";
import type { BackendRow, BlockStorageTables } from "./tables.ts";

/** What an agent announces of one backend. */
export interface AnnouncedBackend {
  readonly node: string;
  readonly backend: string;
  readonly cluster: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
  /** The agent has just started; otherwise it only reports. */
  readonly started: boolean;
}

/** What backends are recorded with. */
interface Tools {
  readonly kernel: { readonly clock: Clock };
  readonly settings: Pick<BlockStorageDependencies["settings"], "enableNewServices">;
}

/** Stores what is announced. A start also settles the replication status, and membership in the cluster. */
export async function recordBackend(t: Tx, deps: Tools, announced: AnnouncedBackend): Promise<void> {
  const { clock } = deps.kernel;
  const host = `${announced.node}@${announced.backend}`;
  const facts = JSON.stringify(announced.facts);
  const known = await findBackend(t, host);
  if (!known) await insertBackend(t, deps, host, announced);
  else {
    const changed = { facts, cluster: announced.cluster, updated_at: clock.now() };
    await t.tables<BlockStorageTables>().updateTable("volume_backends").set(changed).where("host", "=", host).execute();
  }
  if (announced.cluster !== null && known?.cluster !== announced.cluster)
    await joinCluster(t, deps, host, announced.cluster);
  if (!known || announced.started) await settle(t, deps, announced.cluster ?? host, factsOf({ facts }));
}

async function insertBackend(t: Tx, deps: Tools, host: string, announced: AnnouncedBackend): Promise<void> {
  const { clock } = deps.kernel;
  const { node, backend, cluster } = announced;
  const row: BackendRow = {
    host,
    node,
    backend,
    cluster,
    frozen: 0,
    replication_status: "not-capable",
    active_backend_id: null,
    facts: JSON.stringify(announced.facts),
    created_at: clock.now(),
    updated_at: clock.now(),
  };
  await t.tables<BlockStorageTables>().insertInto("volume_backends").values(row).execute();
  if (deps.settings.enableNewServices) return;
  await t
    .tables<FleetTables>()
    .updateTable("services")
    .set({ disabled: 1 })
    .where("host", "=", host)
    .where("binary_name", "=", VOLUME_BINARY)
    .execute();
}

/** The first member makes the cluster in its own image, later ones take over the cluster's. Volumes follow their backend. */
async function joinCluster(t: Tx, deps: Tools, host: string, name: string): Promise<void> {
  const { clock } = deps.kernel;
  const db = t.tables<BlockStorageTables & FleetTables>();
  const own = await findBackend(t, host);
  const service = await db
    .selectFrom("services")
    .select(["disabled", "disabled_reason"])
    .where("host", "=", host)
    .where("binary_name", "=", VOLUME_BINARY)
    .executeTakeFirst();
  await db
    .insertInto("volume_clusters")
    .values({
      name,
      disabled: service?.disabled ?? 0,
      disabled_reason: service?.disabled_reason ?? null,
      frozen: own?.frozen ?? 0,
      replication_status: own?.replication_status ?? "not-capable",
      active_backend_id: own?.active_backend_id ?? null,
      created_at: clock.now(),
      updated_at: null,
    })
    .onConflict((c) => c.column("name").doNothing())
    .execute();
  const scope = await lockScope(t, name);
  const { frozen, replication_status, active_backend_id } = scope?.cluster ?? {};
  if (frozen !== undefined && replication_status !== undefined && active_backend_id !== undefined) {
    const copied: ScopeState = { frozen, replication_status, active_backend_id };
    await db.updateTable("volume_backends").set(copied).where("host", "=", host).execute();
  }
  await db
    .updateTable("volumes")
    .set({ cluster_name: sql<string>`CAST(${name} AS text) || substr(host, ${sql.lit(host.length + 1)})` })
    .where("cluster_name", "is", null)
    .where(onPlace("host", host))
    .execute();
}

/** What a start makes of the replication status. Members mirror their cluster, whatever became of them before. */
async function settle(t: Tx, deps: Tools, name: string, facts: BackendFacts): Promise<void> {
  const scope = await lockScope(t, name);
  if (!scope) return;
  // A failover that is under way ends by itself, also across restarts.
  if (await isFailingOver(t, scope)) return;
  const { frozen, active_backend_id, replication_status: current } = stateOfScope(scope);
  const replication_status = statusAtStart(current, facts.replicationEnabled);
  await updateScope(t, deps.kernel.clock, scope, { frozen, active_backend_id, replication_status });
}

/** Its operation is under way: it alone says how that ends. */
export async function isFailingOver(t: Tx, scope: Scope): Promise<boolean> {
  return (await liveOperations(t, scope.name)).some((live) => live.name === "backend.failover");
}
