import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import type { BlockDeviceRow } from "../store/block-device-tables.ts";
import { deleteBlockDevice, updateBlockDevice } from "../store/block-devices.ts";
import { endAction } from "../store/instance-actions.ts";
import { lockServer } from "../store/servers.ts";
import { mustStillBeThere, type VolumeOfServerInput, type VolumeTaken, volumeOfServer } from "./attach-volume.ts";
import { recordVolumeFault } from "./record-volume-fault.ts";
import { guestSlot, plugVolume, stopServing, unplugVolume } from "./volume-calls.ts";

/**
 * The API's part of a detach: the volume is on its way out. Throws 400 unless it is in use. One whose attachment an administrator has
 * reset is no longer this server's: only the device goes.
 */
export async function beginDetach(t: Tx, deps: ComputeDependencies, row: BlockDeviceRow & VolumeTaken): Promise<void> {
  await lockServer(t, row.server_id);
  if (await isStillIts(t, deps, volumeOfServer(row))) await deps.blockStorage.beginDetaching(t, row.volume_id);
  await updateBlockDevice(t, row.id, { state: "leaving" });
}

/**
 * Takes a volume away from a server. A guest that does not let go of its disk keeps it: the volume is in use as before, with the
 * fault recorded. Once the guest has let go, it only goes forward.
 */
export function detachVolumeOperation(deps: ComputeDependencies): Operation<VolumeOfServerInput> {
  const { clock } = deps.kernel;
  const { blockStorage } = deps;
  return operation<VolumeOfServerInput>("server.detach_volume", { resource: "server", deadlineMs: minutes(15) })
    .step("unplug", {
      event: "compute_detach_volume",
      slot: ({ input }) => guestSlot(input.serverId),
      effect: (a, { input }) => plugVolume(a, deps, input.serverId, { volumeId: input.volumeId, has: false }),
      undo: (a, { input }) => unplugVolume(a, deps, input.serverId, { volumeId: input.volumeId, has: true }),
      span: [0, 70],
    })
    .step("leave", {
      tx: async (t, { input, out }) => {
        await mustStillBeThere(t, input.serverId, out.unplug.host, "unplug");
        await updateBlockDevice(t, input.deviceId, { state: "gone" });
      },
      undoTx: (t, { input }) => updateBlockDevice(t, input.deviceId, { state: "leaving" }),
    })
    .pivot()
    .step("stop-serving", {
      effect: (a, { input }) => stopServing(a, deps, input),
      span: [70, 95],
    })
    .step("finish", {
      tx: async (t, { input, operation: op }) => {
        await blockStorage.letGo(t, input.attachmentId);
        await deleteBlockDevice(t, input.deviceId);
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      await lockServer(t, input.serverId);
      await updateBlockDevice(t, input.deviceId, { state: "present" });
      if (await isStillIts(t, deps, input)) await blockStorage.rollDetaching(t, input.volumeId);
      await recordVolumeFault(t, deps, { serverId: input.serverId, requestId: op.requestId, fault });
    });
}

async function isStillIts(
  t: Tx,
  { blockStorage }: ComputeDependencies,
  { serverId, volumeId, attachmentId }: VolumeOfServerInput,
): Promise<boolean> {
  return (await blockStorage.attachmentsOfServer(t, serverId)).get(volumeId)?.attachmentId === attachmentId;
}
