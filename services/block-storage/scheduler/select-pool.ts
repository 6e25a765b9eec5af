import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { poolCapabilities } from "../domain/pool-capabilities.ts";
import type { VolumeTypeRow } from "../store/tables.ts";
import { holdPool, type Judging, type Pool, schedulablePools } from "./pools.ts";
import { poolFitsType } from "./type-fit.ts";

/** What a new volume needs of a pool. */
export interface PoolRequest {
  readonly sizeGiB: number;
  readonly zone: string;
  readonly type: VolumeTypeRow;
  /** Scopes that have been tried in vain. */
  readonly exclude: readonly string[];
  /** The one scope that has the data to begin with; null: any. */
  readonly only: string | null;
}

/**
 * The fitting pool with the most room, held until the transaction ends so that nobody switches it off in between. Throws
 * `block-storage.no_backend` (noCapacity).
 */
export async function selectPool(t: Tx, deps: Judging, request: PoolRequest): Promise<Pool> {
  const pools = await schedulablePools(t, deps);
  const wanted = filters(request);
  const fitting = pools.filter((pool) => wanted.every(({ holds }) => holds(pool)));
  for (const pool of fitting.toSorted((a, b) => roomOf(b) - roomOf(a))) if (await holdPool(t, deps, pool)) return pool;
  throw new CloudError("noCapacity", "block-storage.no_backend", "No valid backend was found.", {
    reason: whyNone(pools, wanted),
  });
}

/** One thing that a pool must be. */
interface Filter {
  /** Of how many pools, in a sentence: `2 in zone nova`. */
  readonly pools: string;
  readonly holds: (pool: Pool) => boolean;
}

/** What the pool must be, in the order in which `whyNone` tells of it. */
function filters({ sizeGiB, zone, type, exclude, only }: PoolRequest): Filter[] {
  return [
    { pools: `in zone ${zone}`, holds: (pool) => pool.zone === zone },
    ...(only === null ? [] : [{ pools: `of ${only}, which has the data`, holds: (pool: Pool) => pool.scope === only }]),
    { pools: "not tried in vain", holds: (pool) => !exclude.includes(pool.scope) },
    ...takingFilters({ sizeGiB, type }),
  ];
}

/** How many pools each filter left over, until none: `2 pools up, enabled and not frozen, 2 in zone nova, 0 with 10 GiB free`. */
function whyNone(pools: readonly Pool[], wanted: readonly Filter[]): string {
  let left = pools;
  const steps = [`${left.length} pools up, enabled and not frozen`];
  for (const filter of wanted) {
    if (left.length === 0) break;
    left = left.filter(filter.holds);
    steps.push(`${left.length} ${filter.pools}`);
  }
  return [...steps, ...(left.length > 0 ? ["0 that could be held"] : [])].join(", ");
}

function takingFilters({ sizeGiB, type }: Pick<PoolRequest, "sizeGiB" | "type">): Filter[] {
  return [
    { pools: "whose storage works", holds: (pool) => pool.facts.backendState === "up" },
    { pools: `with ${sizeGiB} GiB free`, holds: (pool) => roomOf(pool) >= sizeGiB },
    { pools: `as the type ${type.name} asks`, holds: (pool) => poolSuits(pool, type) },
  ];
}

/** Whether the pool works, has the room, and what the type asks for. */
export function poolTakes(pool: Pool, request: Pick<PoolRequest, "sizeGiB" | "type">): boolean {
  return takingFilters(request).every(({ holds }) => holds(pool));
}

/** Whether the pool has what the type asks for. */
export function poolSuits(pool: Pool, type: VolumeTypeRow): boolean {
  return poolFitsType(poolCapabilities(pool), type);
}

/** What may be promised now, GiB: the reserve stays free. Agents count for themselves what is promised since their report. */
function roomOf({ facts }: Pool): number {
  return facts.freeGiB - Math.ceil((facts.totalGiB * facts.reservedPercent) / 100);
}
