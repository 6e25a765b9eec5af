import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { poolCapabilities } from "../http/pool-view.ts";
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
  const fitting = (await schedulablePools(t, deps)).filter((pool) => fits(pool, request));
  for (const pool of fitting.toSorted((a, b) => roomOf(b) - roomOf(a))) if (await holdPool(t, deps, pool)) return pool;
  throw new CloudError("noCapacity", "block-storage.no_backend", "No valid backend was found.");
}

function fits(pool: Pool, { sizeGiB, zone, type, exclude, only }: PoolRequest): boolean {
  return (
    pool.zone === zone &&
    (only === null || pool.scope === only) &&
    !exclude.includes(pool.scope) &&
    poolTakes(pool, { sizeGiB, type })
  );
}

/** Whether the pool works, has the room, and what the type asks for. */
export function poolTakes(pool: Pool, { sizeGiB, type }: Pick<PoolRequest, "sizeGiB" | "type">): boolean {
  return pool.facts.backendState === "up" && roomOf(pool) >= sizeGiB && poolSuits(pool, type);
}

/** Whether the pool has what the type asks for. */
export function poolSuits(pool: Pool, type: VolumeTypeRow): boolean {
  return poolFitsType(poolCapabilities(pool), type);
}

/** What may be promised now, GiB: the reserve stays free. Agents count for themselves what is promised since their report. */
function roomOf({ facts }: Pool): number {
  return facts.freeGiB - Math.ceil((facts.totalGiB * facts.reservedPercent) / 100);
}
