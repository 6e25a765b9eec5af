import type { Queries } from "../../../kernel/store/store.ts";
import type { HostRecord } from "../domain/host-differences.ts";
import type { ComputeTables } from "../store/tables.ts";

/** What the database says of a host now. */
export async function recordOf(q: Queries, host: string): Promise<HostRecord> {
  const db = q.tables<ComputeTables>();
  const servers = await db
    .selectFrom("servers")
    .select(["id", "vm_state", "task_state"])
    .where("host", "=", host)
    .where("deleted_at", "is", null)
    .execute();
  const promised = await db.selectFrom("allocations").select("server_id").where("host", "=", host).execute();
  const here = new Set(servers.map((server) => server.id));
  return { servers, held: new Set(promised.map((row) => row.server_id).filter((id) => !here.has(id))) };
}
