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
  const devices = await db
    .selectFrom("server_block_devices")
    .innerJoin("servers", "servers.id", "server_block_devices.server_id")
    .select(["server_id", "volume_id", "state", "boot_index"])
    .where("servers.host", "=", host)
    .where("servers.deleted_at", "is", null)
    .execute();
  const promised = await db.selectFrom("allocations").select("server_id").where("host", "=", host).execute();
  const here = new Set(servers.map((server) => server.id));
  return { servers, devices, held: new Set(promised.map((row) => row.server_id).filter((id) => !here.has(id))) };
}
