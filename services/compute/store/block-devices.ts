import type { Kysely, Selectable } from "kysely";
import { isAmong } from "../../../kernel/store/is-among.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables } from "./tables.ts";

/**
 * `wanted`: its volume is yet to be made; `reserved`: nobody else may take it; `present`: the guest has it; `leaving`: the guest still
 * has it, and is to give it up; `gone`: the guest has given it up.
 */
export type BlockDeviceState = "wanted" | "reserved" | "present" | "leaving" | "gone";

/** A volume of a server. */
export interface BlockDeviceTable {
  /** `bdm_uuid` of the API. */
  id: string;
  server_id: string;
  state: BlockDeviceState;
  /** Null until it is made. */
  volume_id: string | null;
  /** Of Block Storage; null until the volume is reserved. */
  attachment_id: string | null;
  /** `/dev/vdb` */
  device: string;
  /** 0 is what the server boots from; null for disks that it never boots from. */
  boot_index: number | null;
  delete_on_termination: number;
  tag: string | null;
  /** JSON of MadeFrom for a volume that is made for the server; null for one that was there. */
  made_from: string | null;
  created_at: number;
}
export type BlockDeviceRow = Selectable<BlockDeviceTable>;

/** How a volume is made for a server. */
export interface MadeFrom {
  readonly source:
    | { readonly kind: "blank" }
    | { readonly kind: "image"; readonly imageId: string }
    | { readonly kind: "snapshot"; readonly snapshotId: string };
  readonly sizeGiB: number | null;
  readonly type: string | null;
  /** Who asked for it may use types and images that others may not. */
  readonly isAdmin: boolean;
}

export const blockDeviceMigration: Migration = {
  name: "compute-0005-block-devices",
  statements: [
    `CREATE TABLE server_block_devices (
      id text PRIMARY KEY, server_id text NOT NULL, state text NOT NULL, volume_id text, attachment_id text, device text NOT NULL,
      boot_index bigint, delete_on_termination bigint NOT NULL, tag text, made_from text, created_at bigint NOT NULL,
      UNIQUE (server_id, device))`,
  ],
};

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
