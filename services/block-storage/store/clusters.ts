import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { placeMatches } from "../domain/place.ts";
import { listClusterRows, listVolumeServices, VOLUME_BINARY } from "./services.ts";
import type { ClusterRow } from "./tables.ts";

/** A cluster with what its members' heartbeats make of it. */
export interface ClusterFacts {
  readonly cluster: ClusterRow;
  readonly hosts: number;
  readonly downHosts: number;
  /** Newest of all members. */
  readonly lastHeartbeat: number | null;
  /** One living member is enough. */
  readonly up: boolean;
}

export interface ClusterFilter {
  /** Matches by whole parts: see `placeMatches`. */
  readonly name?: string | undefined;
}

/** In the order of their creation. */
export async function listClusters(
  q: Queries,
  judging: { now: number; fleet: FleetSettings },
  filter: ClusterFilter = {},
): Promise<ClusterFacts[]> {
  const { name } = filter;
  const rows = (await listClusterRows(q)).filter((row) => name === undefined || placeMatches(name, row.name));
  if (rows.length === 0) return [];
  const services = await listVolumeServices(q, { binary: VOLUME_BINARY });
  const members = Map.groupBy(services, (service) => service.record.cluster);
  const oldest = judging.now - judging.fleet.serviceDownTimeMs;
  return rows.map((cluster) => {
    const beats = (members.get(cluster.name) ?? []).map(({ record }) => record.last_seen ?? record.created_at);
    const lastHeartbeat = beats.length === 0 ? null : Math.max(...beats);
    return {
      cluster,
      hosts: beats.length,
      downHosts: beats.filter((beat) => beat < oldest).length,
      lastHeartbeat,
      up: lastHeartbeat !== null && lastHeartbeat >= oldest,
    };
  });
}
