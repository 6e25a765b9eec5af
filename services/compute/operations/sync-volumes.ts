import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { diskDifferences } from "../domain/disk-differences.ts";
import { blockDevicesOf } from "../store/block-devices.ts";
import { getServer } from "../store/servers.ts";
import { guestSlot, plugVolume, serveVolume } from "./volume-calls.ts";

export interface SyncVolumesInput {
  readonly serverId: string;
}

/**
 * A guest that has lost disks of its server gets them again: one may obey an unplug long after that was given up. What was seen may be
 * old by now, so the guest is looked at again. Changes no state; what cannot be done is tried when it is noticed again.
 */
export function syncVolumesOperation(deps: ComputeDependencies): Operation<SyncVolumesInput> {
  return operation<SyncVolumesInput>("server.sync_volumes", { resource: "server", deadlineMs: minutes(10) })
    .step("plug", {
      maxAttempts: 1,
      slot: ({ input }) => guestSlot(input.serverId),
      effect: async (a, { input: { serverId } }) => {
        const { host, task_state } = await getServer(a.read, serverId);
        if (host === null || task_state !== null) return null;
        const { guest } = await a.call(
          computeVerbs,
          "compute.inspect",
          { serverId },
          { to: { host }, extra: `${a.attempt}` },
        );
        if (guest?.power !== "running" && guest?.power !== "paused") return null;
        const { lacks, extra } = diskDifferences(await blockDevicesOf(a.read, serverId), guest.volumeIds);
        // A guest is brought to exactly what it is to have: that would take away what it has too much, and may be writing to.
        if (extra.length > 0) return null;
        const its = await deps.blockStorage.attachmentsOfServer(a.read, serverId);
        const missing = lacks.filter((id) => its.has(id));
        for (const id of missing) await serveVolume(a, deps, id);
        return missing.length === 0 ? null : await plugVolume(a, deps, serverId, null);
      },
      // Nothing to undo: the guest has what it is to have, or will get it with the next try.
      undo: async () => {},
      span: [0, 100],
    })
    .build();
}

/**
 * Gives the server's guest the disks that it lacks, in an operation of its own. To be called with the server locked; not while one of
 * its volumes is changing, or when they are not the server's any more.
 */
export async function startSyncVolumes(
  t: Tx,
  deps: ComputeDependencies,
  { serverId, lacks }: { serverId: string; lacks: readonly string[] },
): Promise<boolean> {
  const { blockStorage, kernel } = deps;
  if ((await blockStorage.changingVolume(t, serverId)) !== undefined) return false;
  const its = await blockStorage.attachmentsOfServer(t, serverId);
  if (!lacks.some((id) => its.has(id))) return false;
  await kernel.operations.start(t, syncVolumesOperation(deps), { input: { serverId }, resourceId: serverId });
  return true;
}
