import { sql } from "kysely";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { allocate } from "../store/allocations.ts";
import type { ComputeHostRow, ComputeTables, FlavorSnapshot } from "../store/tables.ts";

export interface HostRequest {
  readonly serverId: string;
  readonly flavor: FlavorSnapshot;
  /** Availability zone, null for any. */
  readonly zone: string | null;
  /** The one host that is wanted; it must pass the same checks unless `force`. */
  readonly only: string | null;
  /** Takes `only` whatever its state and load. */
  readonly force?: boolean;
  readonly exclude: readonly string[];
  /** `local`, or shared on a host that mounts that store (null: any store). */
  readonly storage: { readonly kind: "local" } | { readonly kind: "shared"; readonly store: string | null };
  /** Hints and the policy of a server group, resolved to hosts: only these (null: any), not these, … */
  readonly together?: readonly string[] | null;
  readonly apart?: readonly string[];
  /** … rather these, rather not these. */
  readonly preferred?: readonly string[];
  readonly avoided?: readonly string[];
}

/** Hosts are looked at in parts of this size. */
const CANDIDATES = 20;

/**
 * Chooses a host and takes room on it: enabled, up, with room, in the zone, without anything of this server; the one
 * with most free memory first. Throws `compute.no_valid_host`.
 */
export async function selectHost(t: Tx, deps: ComputeDependencies, request: HostRequest): Promise<ComputeHostRow> {
  const { clock } = deps.kernel;
  const forced = request.force === true && request.only !== null;
  const ratios = forced ? null : deps.settings;
  for (let offset = 0, more = true; more; offset += CANDIDATES) {
    const some = await candidates(t, deps, request, forced, offset);
    more = some.length === CANDIDATES;
    for (const host of some) {
      if (!forced && !mountsStore(host, request.storage)) continue;
      // Others may have taken the room in the same moment.
      if (await allocate(t, clock, { serverId: request.serverId, host: host.host, flavor: request.flavor, ratios }))
        return host;
    }
  }
  throw new CloudError(
    "noCapacity",
    "compute.no_valid_host",
    "No valid host was found. There are not enough hosts available.",
    {
      internal: JSON.stringify({ ...request, flavor: request.flavor.id }),
    },
  );
}

async function candidates(
  t: Tx,
  deps: ComputeDependencies,
  request: HostRequest,
  forced: boolean,
  offset: number,
): Promise<ComputeHostRow[]> {
  const { flavor, exclude } = request;
  const { cpuAllocationRatio, ramAllocationRatio, diskAllocationRatio } = deps.settings;
  const disk = flavor.diskGiB + flavor.ephemeralGiB;
  const alive = deps.kernel.clock.now() - deps.fleet.serviceDownTimeMs;
  const { together = null, apart = [], preferred = [], avoided = [] } = request;
  if (!forced && together?.length === 0) return [];
  let query = t
    .tables<ComputeTables & FleetTables>()
    .selectFrom("compute_hosts")
    .innerJoin("services", (join) =>
      join.onRef("services.host", "=", "compute_hosts.host").on("services.binary_name", "=", "nova-compute"),
    )
    .selectAll("compute_hosts")
    .where("compute_hosts.host", "not in", (eb) =>
      eb.selectFrom("allocations").select("allocations.host").where("allocations.server_id", "=", request.serverId),
    )
    .limit(CANDIDATES)
    .offset(offset);
  if (preferred.length > 0) query = query.orderBy((eb) => eb("compute_hosts.host", "in", preferred), "desc");
  if (avoided.length > 0) query = query.orderBy((eb) => eb("compute_hosts.host", "in", avoided), "asc");
  query = query
    .orderBy(sql`compute_hosts.ram_mib - compute_hosts.ram_used_mib`, "desc")
    .orderBy("compute_hosts.number");
  if (request.only !== null) query = query.where("compute_hosts.host", "=", request.only);
  if (exclude.length > 0) query = query.where("compute_hosts.host", "not in", exclude);
  if (forced) return await query.execute();
  query = query
    .where("services.disabled", "=", 0)
    .where("services.forced_down", "=", 0)
    .where("services.last_seen", ">=", alive)
    .where(sql<boolean>`vcpus_used + ${flavor.vcpus} <= vcpus * ${sql.lit(cpuAllocationRatio)}`)
    .where(sql<boolean>`ram_used_mib + ${flavor.ramMiB} <= ram_mib * ${sql.lit(ramAllocationRatio)}`)
    .where(sql<boolean>`disk_used_gib + ${disk} <= disk_gib * ${sql.lit(diskAllocationRatio)}`);
  if (request.zone !== null) query = query.where("compute_hosts.zone", "=", request.zone);
  if (together !== null) query = query.where("compute_hosts.host", "in", together);
  if (apart.length > 0) query = query.where("compute_hosts.host", "not in", apart);
  return await query.execute();
}

function mountsStore(host: ComputeHostRow, storage: HostRequest["storage"]): boolean {
  if (storage.kind === "local") return true;
  const mounted = sharedStorageOf(host);
  return mounted !== null && (storage.store === null || storage.store === mounted);
}

/** The shared instance store that a host mounts; null without one. */
export function sharedStorageOf(host: Pick<ComputeHostRow, "facts">): string | null {
  return (JSON.parse(host.facts) as { sharedStorage?: string | null }).sharedStorage ?? null;
}
