import type { Queries } from "../../../kernel/store/store.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";

/** The scheduler hints `same_host` and `different_host` (lists of servers) as the hosts they stand for now. */
export async function placementHints(q: Queries, server: ServerRow): Promise<{ together: string[]; apart: string[] }> {
  const hints = JSON.parse(server.scheduler_hints) as {
    same_host?: string | string[];
    different_host?: string | string[];
  };
  return { together: await hostsOf(q, hints.same_host), apart: await hostsOf(q, hints.different_host) };
}

async function hostsOf(q: Queries, servers: string | string[] | undefined): Promise<string[]> {
  const ids = servers === undefined ? [] : [servers].flat();
  if (ids.length === 0) return [];
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select("host")
    .where("id", "in", ids)
    .where("deleted_at", "is", null)
    .execute();
  return rows.flatMap((row) => (row.host === null ? [] : [row.host]));
}
