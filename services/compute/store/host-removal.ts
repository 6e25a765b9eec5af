import type { Kysely } from "kysely";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { ENDED } from "../domain/migration-state.ts";
import type { AggregateTables } from "./aggregate-tables.ts";
import type { ComputeTables } from "./tables.ts";

const zones = prepared((db: Kysely<ComputeTables>) => db.selectFrom("compute_hosts").select(["host", "zone"]));
const zoneOfOne = prepared((db: Kysely<ComputeTables>, p: { host: string }) =>
  db.selectFrom("compute_hosts").select(["host", "zone"]).where("host", "=", p.host),
);

/** Zone of each compute host, or of one. */
export async function zonesOfHosts(q: Queries, host?: string): Promise<ReadonlyMap<string, string>> {
  const rows = host === undefined ? await zones.all(q, {}) : await zoneOfOne.all(q, { host });
  return new Map(rows.map((row) => [row.host, row.zone]));
}

/**
 * Takes a compute host out of the cloud, unless something still depends on it: then the caller's transaction must not
 * commit. Removing the row first makes a concurrent placement wait for the outcome. Room held on the host for clean-ups
 * goes too, so that a host that comes back starts with an honest count.
 */
export async function removeHost(t: Tx, host: string): Promise<"removed" | "servers" | "migrations"> {
  const db = t.tables<ComputeTables>();
  await db.deleteFrom("compute_hosts").where("host", "=", host).execute();
  if (await hasServers(t, host)) return "servers";
  if (await hasLiveMigrations(t, host)) return "migrations";
  await db.deleteFrom("allocations").where("host", "=", host).execute();
  await t.tables<AggregateTables>().deleteFrom("aggregate_hosts").where("host", "=", host).execute();
  return "removed";
}

/** Also those that are being placed there. */
async function hasServers(q: Queries, host: string): Promise<boolean> {
  const placed = await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select("id")
    .where("host", "=", host)
    .where("deleted_at", "is", null)
    .limit(1)
    .execute();
  if (placed.length > 0) return true;
  const arriving = await q
    .tables<ComputeTables>()
    .selectFrom("allocations")
    .innerJoin("servers", "servers.id", "allocations.server_id")
    .select("servers.id")
    .where("allocations.host", "=", host)
    .where("servers.host", "is", null)
    .where("servers.deleted_at", "is", null)
    .limit(1)
    .execute();
  return arriving.length > 0;
}

async function hasLiveMigrations(q: Queries, host: string): Promise<boolean> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .select("uuid")
    .where((eb) => eb.or([eb("source_host", "=", host), eb("dest_host", "=", host)]))
    .where("status", "not in", [...ENDED, "done"])
    .limit(1)
    .execute();
  return rows.length > 0;
}

/** True when servers were evacuated from the host and it has not cleaned up after itself yet. */
export async function awaitsCleanupAfterEvacuation(q: Queries, host: string): Promise<boolean> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("migrations")
    .select("uuid")
    .where("source_host", "=", host)
    .where("type", "=", "evacuation")
    .where("status", "=", "done")
    .limit(1)
    .execute();
  return rows.length > 0;
}
