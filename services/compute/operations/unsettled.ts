import { liveOperations } from "../../../kernel/operations/control.ts";
import type { OperationRow } from "../../../kernel/operations/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";

export const CLEANUP = "server.cleanup";

/** True while `unsettledCleanups` are under way. */
export async function isUnsettled(q: Queries, serverId: string): Promise<boolean> {
  return (await unsettledCleanups(q, serverId)).length > 0;
}

/**
 * The clean-ups that still have to find out where the guest is, after an operation was abandoned: until they have ended
 * nothing new may move or power the server. Seconds, unless a host is down.
 */
export async function unsettledCleanups(q: Queries, serverId: string): Promise<OperationRow[]> {
  const live = await liveOperations(q, serverId);
  return live.filter((each) => each.name === CLEANUP && (JSON.parse(each.input) as { mayAdopt: boolean }).mayAdopt);
}
