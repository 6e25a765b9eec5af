import { type Expression, type ExpressionBuilder, type SqlBool, sql } from "kysely";
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
      reason: await whyNone(t, deps, request, forced),
      internal: JSON.stringify({ ...request, flavor: request.flavor.id }),
    },
  );
}

/** One thing that a host must be. */
interface Filter {
  /** Of how many hosts, in a sentence: `2 in zone nova`. */
  readonly hosts: string;
  readonly holds: (eb: Hosts) => Expression<SqlBool>;
}

type Hosts = ExpressionBuilder<ComputeTables & FleetTables, "compute_hosts" | "services">;

/** What the host must be, in the order in which `whyNone` tells of it. */
function filters(deps: ComputeDependencies, request: HostRequest, forced: boolean): Filter[] {
  const { flavor, exclude, zone, only, together = null, apart = [] } = request;
  const { cpuAllocationRatio, ramAllocationRatio, diskAllocationRatio } = deps.settings;
  const disk = flavor.diskGiB + flavor.ephemeralGiB;
  const alive = deps.kernel.clock.now() - deps.fleet.serviceDownTimeMs;
  const list: Filter[] = [];
  const add = (hosts: string, holds: Filter["holds"]) => void list.push({ hosts, holds });
  if (only !== null) add(`named ${only}`, (eb) => eb("compute_hosts.host", "=", only));
  if (!forced) {
    add("enabled", (eb) => eb("services.disabled", "=", 0));
    add("up", (eb) => eb.and([eb("services.forced_down", "=", 0), eb("services.last_seen", ">=", alive)]));
    if (zone !== null) add(`in zone ${zone}`, (eb) => eb("compute_hosts.zone", "=", zone));
  }
  if (exclude.length > 0) add("not left out", (eb) => eb("compute_hosts.host", "not in", exclude));
  add("without anything of the server", (eb) =>
    eb(
      "compute_hosts.host",
      "not in",
      eb.selectFrom("allocations").select("allocations.host").where("allocations.server_id", "=", request.serverId),
    ),
  );
  if (forced) return list;
  if (together !== null)
    add("that hints and server group allow", (eb) =>
      together.length === 0 ? eb.lit(false) : eb("compute_hosts.host", "in", together),
    );
  if (apart.length > 0)
    add("apart from those that hints and server group rule out", (eb) => eb("compute_hosts.host", "not in", apart));
  add(
    `with ${flavor.vcpus} VCPUs free`,
    () => sql<SqlBool>`vcpus_used + ${flavor.vcpus} <= vcpus * ${sql.lit(cpuAllocationRatio)}`,
  );
  add(
    `with ${flavor.ramMiB} MiB of memory free`,
    () => sql<SqlBool>`ram_used_mib + ${flavor.ramMiB} <= ram_mib * ${sql.lit(ramAllocationRatio)}`,
  );
  add(
    `with ${disk} GiB of disk free`,
    () => sql<SqlBool>`disk_used_gib + ${disk} <= disk_gib * ${sql.lit(diskAllocationRatio)}`,
  );
  return list;
}

function computeHosts(t: Tx) {
  return t
    .tables<ComputeTables & FleetTables>()
    .selectFrom("compute_hosts")
    .innerJoin("services", (join) =>
      join.onRef("services.host", "=", "compute_hosts.host").on("services.binary_name", "=", "nova-compute"),
    );
}

async function candidates(
  t: Tx,
  deps: ComputeDependencies,
  request: HostRequest,
  forced: boolean,
  offset: number,
): Promise<ComputeHostRow[]> {
  const { preferred = [], avoided = [] } = request;
  let query = computeHosts(t).selectAll("compute_hosts").limit(CANDIDATES).offset(offset);
  for (const { holds } of filters(deps, request, forced)) query = query.where(holds);
  if (preferred.length > 0) query = query.orderBy((eb) => eb("compute_hosts.host", "in", preferred), "desc");
  if (avoided.length > 0) query = query.orderBy((eb) => eb("compute_hosts.host", "in", avoided), "asc");
  return await query
    .orderBy(sql`compute_hosts.ram_mib - compute_hosts.ram_used_mib`, "desc")
    .orderBy("compute_hosts.number")
    .execute();
}

/** How many hosts each filter left over, until none: `3 hosts, 2 enabled, 2 up, 0 with 4096 MiB of memory free`. */
async function whyNone(t: Tx, deps: ComputeDependencies, request: HostRequest, forced: boolean): Promise<string> {
  const all = filters(deps, request, forced);
  const query = computeHosts(t).select((eb) => [
    eb.fn.countAll<number>().as("all"),
    ...all.map((_, i) => {
      const passed = eb.and(all.slice(0, i + 1).map(({ holds }) => holds(eb)));
      return eb.fn.coalesce(eb.fn.sum<number>(eb.case().when(passed).then(1).else(0).end()), eb.lit(0)).as(`left${i}`);
    }),
  ]);
  const counts = (await query.executeTakeFirstOrThrow()) as Record<string, number>;
  const steps = [`${counts.all} hosts`, ...all.map(({ hosts }, i) => `${counts[`left${i}`]} ${hosts}`)];
  const emptied = all.findIndex((_, i) => counts[`left${i}`] === 0);
  if (emptied >= 0) return steps.slice(0, counts.all === 0 ? 1 : emptied + 2).join(", ");
  return [...steps, forced ? "0 that could be taken" : storageSentence(request.storage)].join(", ");
}

function storageSentence(storage: HostRequest["storage"]): string {
  if (storage.kind === "local") return "0 whose room was not taken meanwhile";
  return storage.store === null ? "0 with a shared store" : `0 with the shared store ${storage.store}`;
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
