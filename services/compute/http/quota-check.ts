import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { type QuotaResource, quotasOf, usageOf } from "../store/quotas.ts";
import type { FlavorSnapshot } from "../store/tables.ts";

/** What one more server of a flavor takes, or what a resize adds. */
export interface Demand {
  readonly instances: number;
  readonly cores: number;
  /** MiB. */
  readonly ram: number;
}

export function demandOf(flavor: FlavorSnapshot): Demand {
  return { instances: 1, cores: flavor.vcpus, ram: flavor.ramMiB };
}

/**
 * How many of `most` the project may have, at least `least`. Throws `compute.over_quota` (403). The caller's transaction
 * must have called `lockQuotas` before.
 */
export async function countWithinQuota(
  q: Queries,
  projectId: string,
  each: Demand,
  { least, most }: { least: number; most: number },
): Promise<number> {
  const [quotas, usage] = [await quotasOf(q, projectId), await usageOf(q, projectId)];
  let count = most;
  let scarce: keyof Demand | undefined;
  for (const resource of ["instances", "cores", "ram"] as const) {
    if (quotas[resource] < 0 || each[resource] <= 0) continue;
    const room = Math.floor((quotas[resource] - usage[resource]) / each[resource]);
    if (room < count) [count, scarce] = [room, resource];
  }
  if (count >= least || scarce === undefined) return count;
  const asked = each[scarce] * least;
  throw overQuota(scarce, `Requested ${asked}, but already used ${usage[scarce]} of ${quotas[scarce]} ${scarce}`);
}

/** Makes concurrent requests that count what is used wait for each other, until the transaction ends. */
export async function lockQuotas(t: Tx): Promise<void> {
  await nextNumber(t, "compute.quota-checks");
}

export function overQuota(resource: QuotaResource, detail: string): CloudError {
  return new CloudError("overQuota", "compute.over_quota", `Quota exceeded for ${resource}: ${detail}`);
}

/** Throws 403 when a server would have more metadata than the project may give it. */
export async function checkMetadataCount(q: Queries, projectId: string, count: number): Promise<void> {
  if (count === 0) return;
  const limit = (await quotasOf(q, projectId)).metadata_items;
  if (limit >= 0 && count > limit)
    throw overQuota("metadata_items", `Maximum number of metadata items exceeds ${limit}`);
}
