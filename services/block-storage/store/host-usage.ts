import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Queries } from "../../../kernel/store/store.ts";
import { onPlace } from "./on-place.ts";
import type { BlockStorageTables } from "./tables.ts";

/** What one project has on a host, sizes in GiB. */
export interface ProjectUsage {
  readonly project: string;
  readonly volumes: number;
  readonly volumeGiB: number;
  readonly snapshots: number;
  readonly snapshotGiB: number;
}

/** By project; the host matches by whole parts, as everywhere. */
export async function usageByProject(q: Queries, host: string): Promise<ProjectUsage[]> {
  const db = q.tables<BlockStorageTables>();
  const volumes = await db
    .selectFrom("volumes")
    .select((eb) => ["project_id", eb.fn.countAll<number>().as("count"), eb.fn.sum<number>("size_gib").as("gib")])
    .where("deleted_at", "is", null)
    .where(onHost("host", host))
    .groupBy("project_id")
    .orderBy("project_id")
    .execute();
  const snapshots = await db
    .selectFrom("volume_snapshots")
    .innerJoin("volumes", "volumes.id", "volume_snapshots.volume_id")
    .select((eb) => [
      "volume_snapshots.project_id",
      eb.fn.countAll<number>().as("count"),
      eb.fn.sum<number>("volume_snapshots.size_gib").as("gib"),
    ])
    .where("volume_snapshots.deleted_at", "is", null)
    .where(onHost("volumes.host", host))
    .groupBy("volume_snapshots.project_id")
    .execute();
  return volumes.map(({ project_id, count, gib }) => {
    const theirs = snapshots.find((row) => row.project_id === project_id);
    return {
      project: project_id,
      volumes: Number(count),
      volumeGiB: Number(gib),
      snapshots: Number(theirs?.count ?? 0),
      snapshotGiB: Number(theirs?.gib ?? 0),
    };
  });
}

/** A bare name stands for all its backends. */
function onHost(column: string, host: string): RawBuilder<SqlBool> {
  if (host.includes("@")) return onPlace(column, host);
  const start = `${host}@`;
  return sql<SqlBool>`(${onPlace(column, host)} OR substr(${sql.ref(column)}, 1, ${sql.lit(start.length)}) = ${start})`;
}
