import type { Kysely } from "kysely";
import { isAmong } from "../../../kernel/store/is-among.ts";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { BlockDeviceRow } from "./block-device-tables.ts";
import type { ComputeTables } from "./tables.ts";

type Db = Kysely<ComputeTables>;

const ofServer = prepared((db: Db, p: { server_id: string }) =>
  db.selectFrom("server_block_devices").selectAll().where("server_id", "=", p.server_id).orderBy("device"),
);

/** The server's volumes in the order of their device names. */
export async function blockDevicesOf(q: Queries, serverId: string): Promise<BlockDeviceRow[]> {
  return await ofServer.all(q, { server_id: serverId });
}

const ofServers = prepared((db: Db, p: { ids: string }, dialect) =>
  db
    .selectFrom("server_block_devices")
    .selectAll()
    .where(isAmong(dialect, "server_id", p.ids))
    .orderBy("device"),
);

/** The same of several servers, by server; those without volumes are not in it. */
export async function blockDevicesByServer(
  q: Queries,
  serverIds: readonly string[],
): Promise<ReadonlyMap<string, BlockDeviceRow[]>> {
  if (serverIds.length === 0) return new Map();
  return Map.groupBy(await ofServers.all(q, { ids: JSON.stringify(serverIds) }), (row) => row.server_id);
}

export async function findBlockDevice(q: Queries, id: string): Promise<BlockDeviceRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("server_block_devices")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

/** Whether another server has, or is about to have, the volume. */
export async function isVolumeOfAnother(q: Queries, { volumeId, serverId }: { volumeId: string; serverId: string }) {
  const other = await q
    .tables<ComputeTables>()
    .selectFrom("server_block_devices")
    .select("id")
    .where("volume_id", "=", volumeId)
    .where("server_id", "!=", serverId)
    .limit(1)
    .executeTakeFirst();
  return other !== undefined;
}

export async function insertBlockDevice(t: Tx, row: BlockDeviceRow): Promise<void> {
  await t.tables<ComputeTables>().insertInto("server_block_devices").values(row).execute();
}

/** Changes a device, its state too. Fine when it is gone. */
export async function updateBlockDevice(
  t: Tx,
  id: string,
  set: Partial<Pick<BlockDeviceRow, "state" | "volume_id" | "attachment_id" | "delete_on_termination">>,
): Promise<void> {
  await t.tables<ComputeTables>().updateTable("server_block_devices").set(set).where("id", "=", id).execute();
}

export async function deleteBlockDevice(t: Tx, id: string): Promise<void> {
  await t.tables<ComputeTables>().deleteFrom("server_block_devices").where("id", "=", id).execute();
}
