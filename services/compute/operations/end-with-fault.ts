import type { PublicFault } from "../../../kernel/errors/cloud-error.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import type { PowerState } from "../domain/server-state.ts";
import { endAction } from "../store/instance-actions.ts";
import { storedFault, transition } from "../store/servers.ts";
import { startSyncPower } from "./sync-power.ts";

/**
 * The end of an operation on a server that was undone: no task, the fault for its owner, the action as failed. What the
 * guest does by now is looked up, as it may have died while the operation had it in hand; from a dead host nobody
 * answers, and it is looked at when it returns.
 */
export async function endWithFault(
  t: Tx,
  deps: ComputeDependencies,
  ended: {
    serverId: string;
    requestId: string | null;
    action: string;
    fault: PublicFault;
    power?: PowerState;
    deadHost?: true;
  },
): Promise<void> {
  const { clock } = deps.kernel;
  const { serverId, requestId, action, fault, power } = ended;
  const set = { fault: storedFault(clock, fault), ...(power === undefined ? {} : { power_state: power }) };
  await transition(t, { clock, id: serverId, from: {}, to: { task: null, set }, action });
  if (!ended.deadHost) await startSyncPower(t, deps, serverId);
  await endAction(t, clock, requestId, "error");
}
