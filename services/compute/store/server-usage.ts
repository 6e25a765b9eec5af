import type { Queries } from "../../../kernel/store/store.ts";
import type { ComputeTables, ServerRow } from "./tables.ts";

/** What usage is computed from. */
export type UsedServer = Pick<
  ServerRow,
  "id" | "name" | "project_id" | "flavor" | "vm_state" | "launched_at" | "deleted_at"
>;

export interface UsagePeriod {
  /** Epoch milliseconds. */
  readonly start: number;
  readonly end: number;
}

/** Servers that existed in the period, by id, after the server `marker`; of all projects when `projectId` is null. */
export async function listUsedServers(
  q: Queries,
  period: UsagePeriod,
  page: { projectId: string | null; limit: number | undefined; marker: string | undefined },
): Promise<UsedServer[]> {
  let query = q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select(["id", "name", "project_id", "flavor", "vm_state", "launched_at", "deleted_at"])
    .where("launched_at", "<", period.end)
    .where((eb) => eb.or([eb("deleted_at", "is", null), eb("deleted_at", ">", period.start)]))
    .orderBy("id");
  if (page.projectId !== null) query = query.where("project_id", "=", page.projectId);
  if (page.marker !== undefined) query = query.where("id", ">", page.marker);
  if (page.limit !== undefined) query = query.limit(page.limit);
  return await query.execute();
}
