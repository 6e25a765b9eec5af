import type { Queries, Tx } from "../../kernel/store/store.ts";
import type { VmState } from "./domain/server-state.ts";
import { isUnsettled } from "./operations/unsettled.ts";
import { findServer, lockServer } from "./store/servers.ts";

/** In these a server goes on as it is until it is asked for something. */
const AT_REST: readonly VmState[] = ["active", "paused", "stopped"];

/**
 * Keeps the server from being asked for anything until the transaction ends. False when something is under way for it, when it is
 * not certain where its guest is, or when it is in no state to go on as it is.
 */
export async function holdSettled(t: Tx, serverId: string): Promise<boolean> {
  const server = await lockServer(t, serverId);
  if (!server || server.task_state !== null || !AT_REST.includes(server.vm_state)) return false;
  return !(await isUnsettled(t, serverId));
}

/** False for one that is deleted, also when a host that does not answer may still run its guest. */
export async function hasServer(q: Queries, serverId: string): Promise<boolean> {
  return (await findServer(q, serverId)) !== undefined;
}
