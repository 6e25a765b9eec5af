import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeSettings } from "../settings.ts";
import type { AllocationRow, ComputeTables, FlavorSnapshot } from "./tables.ts";

/** How much of a host may be promised, as multiples of what it has. */
export type AllocationRatios = Pick<
  ComputeSettings,
  "cpuAllocationRatio" | "ramAllocationRatio" | "diskAllocationRatio"
>;

/**
 * Promises room on a host to a server, in one statement that cannot overbook. False when it does not fit.
 * With `ratios` null the room is taken whatever the host has (a forced host).
 */
export async function allocate(
  t: Tx,
  clock: Clock,
  request: { serverId: string; host: string; flavor: FlavorSnapshot; ratios: AllocationRatios | null },
): Promise<boolean> {
  const { serverId, host, flavor, ratios } = request;
  const db = t.tables<ComputeTables>();
  const disk = diskOf(flavor);
  let take = db
    .updateTable("compute_hosts")
    .set((eb) => ({
      vcpus_used: eb("vcpus_used", "+", flavor.vcpus),
      ram_used_mib: eb("ram_used_mib", "+", flavor.ramMiB),
      disk_used_gib: eb("disk_used_gib", "+", disk),
    }))
    .where("host", "=", host);
  if (ratios) {
    take = take
      .where(sql<boolean>`vcpus_used + ${flavor.vcpus} <= vcpus * ${sql.lit(ratios.cpuAllocationRatio)}`)
      .where(sql<boolean>`ram_used_mib + ${flavor.ramMiB} <= ram_mib * ${sql.lit(ratios.ramAllocationRatio)}`)
      .where(sql<boolean>`disk_used_gib + ${disk} <= disk_gib * ${sql.lit(ratios.diskAllocationRatio)}`);
  }
  const taken = await take.executeTakeFirst();
  if (taken.numUpdatedRows !== 1n) return false;
  await db
    .insertInto("allocations")
    .values({
      server_id: serverId,
      host,
      vcpus: flavor.vcpus,
      ram_mib: flavor.ramMiB,
      disk_gib: disk,
      created_at: clock.now(),
    })
    .execute();
  return true;
}

/** Gives the room back. Fine when there is none. */
export async function release(t: Tx, serverId: string, host: string): Promise<void> {
  const db = t.tables<ComputeTables>();
  const row = await db
    .deleteFrom("allocations")
    .where("server_id", "=", serverId)
    .where("host", "=", host)
    .returningAll()
    .executeTakeFirst();
  if (!row) return;
  await db
    .updateTable("compute_hosts")
    .set((eb) => ({
      vcpus_used: eb("vcpus_used", "-", row.vcpus),
      ram_used_mib: eb("ram_used_mib", "-", row.ram_mib),
      disk_used_gib: eb("disk_used_gib", "-", row.disk_gib),
    }))
    .where("host", "=", host)
    .execute();
}

/** Every host that holds, or may hold, something of the server. */
export async function allocationsOf(q: Queries, serverId: string): Promise<AllocationRow[]> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("allocations")
    .selectAll()
    .where("server_id", "=", serverId)
    .orderBy("created_at")
    .execute();
}

function diskOf(flavor: FlavorSnapshot): number {
  return flavor.diskGiB + flavor.ephemeralGiB;
}
