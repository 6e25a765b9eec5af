import type { Queries } from "../../../kernel/store/store.ts";
import { CHANGING, MIGRATING } from "../domain/can-volume.ts";
import type { BlockStorageTables } from "./tables.ts";

/** A volume of Compute's server whose data is on its way to another backend, or that is growing; undefined when they all are still. */
export async function changingVolume(q: Queries, serverId: string): Promise<string | undefined> {
  const row = await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_attachments")
    .innerJoin("volumes", "volumes.id", "volume_attachments.volume_id")
    .select("volumes.id")
    .where("server_id", "=", serverId)
    .where("held_by_compute", "=", 1)
    .where((eb) => eb.or([eb("migration_status", "in", MIGRATING), eb("status", "in", CHANGING)]))
    .limit(1)
    .executeTakeFirst();
  return row?.id;
}
