import { listServices } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { placeMatches } from "../domain/place.ts";
import type { BackendRow, BlockStorageTables, ClusterRow } from "./tables.ts";

export const VOLUME_BINARY = "cinder-volume";
export const SCHEDULER_BINARY = "cinder-scheduler";

/** A service record with what Block Storage knows of it. */
export interface VolumeService {
  readonly record: ServiceRow;
  /** Null for schedulers. */
  readonly backend: BackendRow | null;
  readonly cluster: ClusterRow | null;
}

export interface VolumeServiceFilter {
  /** Matches by whole parts: see `placeMatches`. */
  readonly host?: string | undefined;
  readonly cluster?: string | undefined;
  readonly binary?: string | undefined;
}

/** In the order of their creation. */
export async function listVolumeServices(q: Queries, filter: VolumeServiceFilter = {}): Promise<VolumeService[]> {
  const { host, cluster, binary } = filter;
  const records = (await listServices(q, binary === undefined ? {} : { binary })).filter(
    (row) =>
      row.binary_name.startsWith("cinder-") &&
      (host === undefined || placeMatches(host, row.host)) &&
      (cluster === undefined || (row.cluster !== null && placeMatches(cluster, row.cluster))),
  );
  const backends = new Map((await listBackends(q)).map((row) => [row.host, row]));
  const clusters = new Map((await listClusterRows(q)).map((row) => [row.name, row]));
  return records.map((record) => ({
    record,
    backend: record.binary_name === VOLUME_BINARY ? (backends.get(record.host) ?? null) : null,
    cluster: record.cluster === null ? null : (clusters.get(record.cluster) ?? null),
  }));
}

export async function listBackends(q: Queries): Promise<BackendRow[]> {
  return await q.tables<BlockStorageTables>().selectFrom("volume_backends").selectAll().execute();
}

/** In the order of their creation. */
export async function listClusterRows(q: Queries): Promise<ClusterRow[]> {
  return await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_clusters")
    .selectAll()
    .orderBy("created_at")
    .orderBy("name")
    .execute();
}
