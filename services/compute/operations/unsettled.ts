import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Queries } from "../../../kernel/store/store.ts";

export const CLEANUP = "server.cleanup";

/**
 * True while a clean-up still has to find out where the guest is, after an operation was abandoned: until then nothing
 * new may move or power the server. Seconds, unless a host is down.
 */
export async function isUnsettled(q: Queries, serverId: string): Promise<boolean> {
  const live = await liveOperations(q, serverId);
  return live.some((each) => each.name === CLEANUP && (JSON.parse(each.input) as { mayAdopt: boolean }).mayAdopt);
}
