import type { Clock } from "../../../kernel/clock/clock.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables, ServerRow } from "./tables.ts";

export async function insertServer(t: Tx, row: ServerRow): Promise<void> {
  await t.tables<ComputeTables>().insertInto("servers").values(row).execute();
}

/** What an owner may change at any time; states have their own writer, `transition`. */
export type ServerDetails = Partial<
  Pick<
    ServerRow,
    | "name"
    | "description"
    | "hostname"
    | "metadata"
    | "tags"
    | "disk_config"
    | "access_ipv4"
    | "access_ipv6"
    | "requested_zone"
    | "locked"
    | "locked_by_admin"
    | "locked_reason"
  >
>;

export async function updateDetails(t: Tx, clock: Clock, id: string, details: ServerDetails): Promise<void> {
  await t
    .tables<ComputeTables>()
    .updateTable("servers")
    .set({ ...details, updated_at: clock.now() })
    .where("id", "=", id)
    .execute();
}
