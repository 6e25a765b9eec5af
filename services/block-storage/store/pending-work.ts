import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { onPlace } from "./on-place.ts";
import type { BlockStorageTables } from "./tables.ts";

/** An operation on a volume or snapshot that has not ended. */
export interface PendingWork {
  readonly operationId: string;
  readonly state: string;
  readonly resource: string;
  readonly resourceId: string;
  /** Where its volume is. */
  readonly host: string | null;
  readonly cluster: string | null;
}

export interface WorkFilter {
  /** `volume` or `snapshot`. */
  readonly resource?: string | undefined;
  readonly resourceId?: string | undefined;
  /** Of a backend or a cluster. */
  readonly scope?: { readonly host: string } | { readonly cluster: string };
}

export async function pendingWork(q: Queries, filter: WorkFilter): Promise<PendingWork[]> {
  const { resource, resourceId, scope } = filter;
  let query = q
    .tables<BlockStorageTables & OperationTables>()
    .selectFrom("operations")
    .leftJoin("volume_snapshots", "volume_snapshots.id", "operations.resource_id")
    .innerJoin("volumes", (join) =>
      join.on((eb) =>
        eb.or([
          eb("volumes.id", "=", eb.ref("operations.resource_id")),
          eb("volumes.id", "=", eb.ref("volume_snapshots.volume_id")),
        ]),
      ),
    )
    .select([
      "operations.id as operationId",
      "operations.state",
      "operations.resource",
      "operations.resource_id as resourceId",
      "volumes.host",
      "volumes.cluster_name as cluster",
    ])
    .where("operations.state", "not in", FINAL_STATES)
    .where("operations.resource", "in", resource === undefined ? ["volume", "snapshot"] : [resource])
    .orderBy("operations.created_at");
  if (resourceId !== undefined) query = query.where("operations.resource_id", "=", resourceId);
  if (scope) {
    query = query.where(
      "host" in scope ? onPlace("volumes.host", scope.host) : onPlace("volumes.cluster_name", scope.cluster),
    );
  }
  return await query.execute();
}
