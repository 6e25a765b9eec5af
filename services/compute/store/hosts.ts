import type { ComputeFacts } from "../../../agent/protocol/compute.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeHostRow, ComputeTables } from "./tables.ts";

export async function findHost(q: Queries, host: string): Promise<ComputeHostRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("compute_hosts")
    .selectAll()
    .where("host", "=", host)
    .executeTakeFirst();
}

/** Throws `compute.host_not_found`. */
export async function getHost(q: Queries, host: string): Promise<ComputeHostRow> {
  const row = await findHost(q, host);
  if (!row) throw new CloudError("notFound", "compute.host_not_found", `Compute host ${host} could not be found.`);
  return row;
}

export function factsOf(row: Pick<ComputeHostRow, "facts">): ComputeFacts {
  return JSON.parse(row.facts) as ComputeFacts;
}

/** Creates the host's record or brings its size up to date; what is promised on it stays. */
export async function recordHost(
  t: Tx,
  tools: { clock: Clock; ids: IdSource },
  host: { name: string; zone: string; facts: ComputeFacts },
): Promise<void> {
  const now = tools.clock.now();
  const db = t.tables<ComputeTables>();
  const { facts } = host;
  const size = {
    facts: JSON.stringify(facts),
    vcpus: facts.vcpus,
    ram_mib: facts.ramMiB,
    disk_gib: facts.diskGiB,
    updated_at: now,
  };
  const known = await db.updateTable("compute_hosts").set(size).where("host", "=", host.name).executeTakeFirst();
  if (known.numUpdatedRows === 1n) return;
  await db
    .insertInto("compute_hosts")
    .values({
      host: host.name,
      uuid: tools.ids.uuid(),
      number: await nextNumber(t, "compute.hypervisor"),
      ...size,
      vcpus_used: 0,
      ram_used_mib: 0,
      disk_used_gib: 0,
      zone: host.zone,
      created_at: now,
    })
    .execute();
}
