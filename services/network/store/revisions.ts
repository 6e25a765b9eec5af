import { sql } from "kysely";
import type { NetworkContext } from "../settings.ts";

/** What each change of a resource writes besides: clients notice by the revision that something has changed. */
export function changedNow(context: NetworkContext) {
  return { updated_at: context.clock.now(), revision: sql<number>`revision + 1` };
}
