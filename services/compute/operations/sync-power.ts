import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { getServer, lockServer, transition } from "../store/servers.ts";

export interface SyncPowerInput {
  readonly serverId: string;
}

/**
 * A guest that stopped by itself makes its server stopped, as Nova's power state sync does. What an agent told may be
 * old by the time it is stored, so the guest is looked at again, and nothing is changed when the server has changed since.
 */
export function syncPowerOperation(deps: ComputeDependencies): Operation<SyncPowerInput> {
  const { clock } = deps.kernel;
  return operation<SyncPowerInput>("server.sync_power", { resource: "server", deadlineMs: minutes(10) })
    .step("look", {
      effect: async (a, { input }) => {
        const { host, task_state, updated_at } = await getServer(a.read, input.serverId);
        if (host === null || task_state !== null) return null;
        const options = { to: { host }, extra: `${a.attempt}` };
        const { guest } = await a.call(computeVerbs, "compute.inspect", { serverId: input.serverId }, options);
        return { power: guest?.power ?? null, host, updatedAt: updated_at };
      },
      undo: async () => {},
    })
    .step("follow", {
      tx: async (t, { input, out }) => {
        const { look } = out;
        // Two that noticed the same end must not trip over each other.
        const server = await lockServer(t, input.serverId);
        if (look === null || !server || server.deleted_at !== null || server.task_state !== null) return;
        if (server.host !== look.host || server.updated_at !== look.updatedAt) return;
        // A guest that is between two hosts is a matter of whoever moves it, or of the clean-up after that.
        if (look.power !== null && look.power !== "stopped" && look.power !== "crashed") return;
        if (server.vm_state !== "active" && server.vm_state !== "paused") return;
        const power_state = look.power === "crashed" ? POWER.crashed : POWER.shutdown;
        const to = { vm: "stopped" as const, set: { power_state } };
        await transition(t, { clock, id: server.id, from: { task: [null] }, to, action: "sync power state" });
      },
    })
    .build();
}

/** Looks at the server's guest soon, in an operation of its own. */
export async function startSyncPower(t: Tx, deps: ComputeDependencies, serverId: string): Promise<void> {
  await deps.kernel.operations.start(t, syncPowerOperation(deps), { input: { serverId }, resourceId: serverId });
}
