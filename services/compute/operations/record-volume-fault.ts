import type { PublicFault } from "../../../kernel/errors/cloud-error.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { endAction } from "../store/instance-actions.ts";
import { lockServer, storedFault, transition } from "../store/servers.ts";

/** A change of a server's volumes that was undone: the server stays as it is, with the fault and the failed action for its owner. */
export async function recordVolumeFault(
  t: Tx,
  deps: ComputeDependencies,
  ended: { serverId: string; requestId: string | null; fault: PublicFault },
): Promise<void> {
  const { clock } = deps.kernel;
  const { serverId, requestId, fault } = ended;
  const server = await lockServer(t, serverId);
  await endAction(t, clock, requestId, "error");
  if (!server || server.deleted_at !== null) return;
  const to = { set: { fault: storedFault(clock, fault) } };
  await transition(t, { clock, id: serverId, from: {}, to, action: "volumes" });
}
