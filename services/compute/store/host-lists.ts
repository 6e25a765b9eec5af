import { sql } from "kysely";
import type { FleetTables, ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { escapeLike } from "./server-lists.ts";
import type { ComputeHostRow, ComputeTables } from "./tables.ts";

/** Availability zones that have hosts, by name. */
export async function listZones(q: Queries): Promise<string[]> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("compute_hosts")
    .select("zone")
    .distinct()
    .orderBy("zone")
    .execute();
  return rows.map((row) => row.zone);
}

/** A compute host with its service record. */
export interface Hypervisor {
  readonly host: ComputeHostRow;
  readonly service: ServiceRow;
}

export interface HypervisorFilter {
  readonly number?: number;
  readonly uuid?: string;
  /** Part of the name. */
  readonly namePart?: string;
}

/** In the order of their numbers, after number `after`. */
export async function listHypervisors(
  q: Queries,
  filter: HypervisorFilter,
  page: { limit: number; after: number },
): Promise<Hypervisor[]> {
  let query = q
    .tables<ComputeTables>()
    .selectFrom("compute_hosts")
    .selectAll()
    .where("number", ">", page.after)
    .orderBy("number")
    .limit(page.limit);
  if (filter.number !== undefined) query = query.where("number", "=", filter.number);
  if (filter.uuid !== undefined) query = query.where("uuid", "=", filter.uuid);
  if (filter.namePart !== undefined) {
    const pattern = `%${escapeLike(filter.namePart.toLowerCase())}%`;
    query = query.where(sql<boolean>`lower(host) LIKE ${pattern} ESCAPE '\\'`);
  }
  const hosts = await query.execute();
  if (hosts.length === 0) return [];
  const services = await q
    .tables<FleetTables>()
    .selectFrom("services")
    .selectAll()
    .where("binary_name", "=", "nova-compute")
    .where(
      "host",
      "in",
      hosts.map((row) => row.host),
    )
    .execute();
  const byHost = new Map(services.map((service) => [service.host, service]));
  return hosts.flatMap((host) => {
    const service = byHost.get(host.host);
    return service ? [{ host, service }] : [];
  });
}

export interface GuestOnHost {
  readonly id: string;
  readonly name: string;
  readonly host: string | null;
  readonly vm_state: string;
  readonly task_state: string | null;
}

/** The servers of some hosts, oldest first. */
export async function serversOn(q: Queries, hosts: readonly string[]): Promise<GuestOnHost[]> {
  if (hosts.length === 0) return [];
  return await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select(["id", "name", "host", "vm_state", "task_state"])
    .where("host", "in", hosts)
    .where("deleted_at", "is", null)
    .orderBy("number")
    .execute();
}
