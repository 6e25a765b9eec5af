import type { Queries } from "../../../kernel/store/store.ts";
import { withoutPool } from "../domain/place.ts";
import { listVolumeServices, VOLUME_BINARY } from "../store/services.ts";
import { type Judging, type Pool, schedulablePools } from "./pools.ts";

/** A backend that an administrator names: `node@backend#pool`, or `cluster@backend#pool`; the pool does not count. */
export type NamedPlace = { readonly host: string } | { readonly cluster: string };

/**
 * The pool of the backend that is named, if volumes may come to it now: a host that is a member stands for its cluster.
 * Undefined for one that is unknown, silent, disabled, frozen or failing over.
 */
export async function namedPool(q: Queries, deps: Judging, named: NamedPlace): Promise<Pool | undefined> {
  const filter = "host" in named ? { host: withoutPool(named.host) } : { cluster: withoutPool(named.cluster) };
  const [found] = await listVolumeServices(q, { ...filter, binary: VOLUME_BINARY });
  const scope = found?.record.cluster ?? found?.record.host;
  return scope === undefined ? undefined : (await schedulablePools(q, deps)).find((pool) => pool.scope === scope);
}
