import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { Moment } from "../../../kernel/clock/moment.ts";
import { isUpAt } from "../../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { factsOf, poolOf } from "../domain/backend-facts.ts";
import { placeText } from "../domain/place.ts";
import { lockScope, type Scope } from "../store/backends.ts";
import { listVolumeServices, VOLUME_BINARY, type VolumeService } from "../store/services.ts";
import type { BackendRow } from "../store/tables.ts";

/** A pool in which volumes can be placed now. */
export interface Pool {
  /** `node@backend`, or `cluster@backend` of a clustered one. */
  readonly scope: string;
  /** `scope#pool`: its name in the API. */
  readonly name: string;
  /** `node@backend#pool` of the member that stands for it: what a volume's `host` becomes. */
  readonly host: string;
  /** What a volume's `cluster_name` becomes. */
  readonly cluster: string | null;
  readonly zone: string;
  /** Of the service record of `host`. */
  readonly serviceId: string;
  readonly backend: BackendRow;
  readonly facts: BackendFacts;
}

/** What tells whether a service lives. */
export interface Judging {
  readonly kernel: { readonly clock: Clock };
  readonly fleet: FleetSettings;
}

/**
 * The pools that the scheduler may choose from, in the order of their services. Of a cluster its first living member stands
 * for it, and its own flags alone count; disabled, frozen, silent and failing-over backends have no pools.
 */
export async function schedulablePools(q: Queries, deps: Judging): Promise<Pool[]> {
  const moment = new Moment(deps.kernel.clock.now());
  const services = await listVolumeServices(q, { binary: VOLUME_BINARY });
  return poolsOf(services, (service) => isSchedulable(service, moment, deps.fleet));
}

/** The pool of a backend or cluster, whatever its state; undefined when there is no such thing. */
export async function poolOfScope(q: Queries, scope: string): Promise<Pool | undefined> {
  const services = await listVolumeServices(q, { binary: VOLUME_BINARY });
  return poolsOf(services, () => true).find((pool) => pool.scope === scope);
}

function poolsOf(services: readonly VolumeService[], counts: (service: VolumeService) => boolean): Pool[] {
  const seen = new Set<string>();
  return services.flatMap((service) => {
    const { backend, cluster, record } = service;
    if (!backend || !counts(service)) return [];
    const scope = cluster?.name ?? record.host;
    if (seen.has(scope)) return [];
    seen.add(scope);
    const facts = factsOf(backend);
    const pool = poolOf(facts);
    return [
      {
        scope,
        name: placeText(scope, pool),
        host: placeText(record.host, pool),
        cluster: cluster === null ? null : placeText(cluster.name, pool),
        zone: record.zone,
        serviceId: record.uuid,
        backend,
        facts,
      },
    ];
  });
}

/** Whether new volumes may come to the backend of this service now. */
export function isSchedulable(
  { record, backend, cluster }: VolumeService,
  moment: Moment,
  fleet: FleetSettings,
): boolean {
  const counts = cluster ?? backend;
  if (!backend || !counts || !isUpAt(record, moment, fleet)) return false;
  const disabled = (cluster ?? record).disabled === 1;
  return !disabled && counts.frozen === 0 && counts.replication_status !== "failing-over";
}

/**
 * Makes sure, until the transaction ends, that nobody disables, freezes or fails over the pool's backend: called before a
 * volume's place is written, so that either the volume is seen by that request or this one by it. Null when it is too late.
 */
export async function holdPool(t: Tx, deps: Judging, pool: Pick<Pool, "scope" | "name">): Promise<Scope | null> {
  const scope = await lockScope(t, pool.scope);
  if (!scope) return null;
  const still = (await schedulablePools(t, deps)).some((each) => each.name === pool.name);
  return still ? scope : null;
}
