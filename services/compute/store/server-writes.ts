import type { Kysely } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { prepared, preparedPer } from "../../../kernel/store/prepared.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { NEXT_REVISION } from "./servers.ts";
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

const updateColumns = preparedPer((columns: readonly (keyof ServerDetails)[]) =>
  prepared((db: Kysely<ComputeTables>, p: ServerDetails & { id: string; now: number }) =>
    db
      .updateTable("servers")
      .set({
        ...Object.fromEntries(columns.map((column) => [column, p[column]])),
        updated_at: p.now,
        ...NEXT_REVISION,
      })
      .where("id", "=", p.id),
  ),
);

export async function updateDetails(t: Tx, clock: Clock, id: string, details: ServerDetails): Promise<void> {
  const columns = Object.keys(details) as (keyof ServerDetails)[];
  await updateColumns(columns).all(t, { ...details, id, now: clock.now() });
}
