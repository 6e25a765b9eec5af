import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation, Redo } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { nextDevice } from "../domain/block-devices.ts";
import { hostOf } from "../domain/can.ts";
import type { BlockDeviceRow } from "../store/block-device-tables.ts";
import {
  blockDevicesOf,
  deleteBlockDevice,
  findBlockDevice,
  insertBlockDevice,
  updateBlockDevice,
} from "../store/block-devices.ts";
import { endAction } from "../store/instance-actions.ts";
import { getServer, lockServer } from "../store/servers.ts";
import { recordVolumeFault } from "./record-volume-fault.ts";
import { guestSlot, isOnTheMove, plugVolume, serveVolume, stopServing, unplugVolume } from "./volume-calls.ts";

export interface VolumeOfServerInput {
  readonly serverId: string;
  /** Row of the server's block devices. */
  readonly deviceId: string;
  readonly volumeId: string;
  readonly attachmentId: string;
}

/** The API's part of an attach: keeps the volume for the server, as its next device. Throws 400, 403, 404 when it may not have it. */
export async function beginAttach(
  t: Tx,
  deps: ComputeDependencies,
  wanted: { serverId: string; volumeId: string; tag: string | null; deleteOnTermination: boolean },
): Promise<BlockDeviceRow & VolumeTaken> {
  const { clock, ids } = deps.kernel;
  const { serverId, volumeId, tag } = wanted;
  await lockServer(t, serverId);
  const device = nextDevice(await blockDevicesOf(t, serverId));
  const { attachmentId } = await deps.blockStorage.reserve(t, { volumeId, serverId });
  const row = {
    id: ids.uuid(),
    server_id: serverId,
    state: "reserved" as const,
    volume_id: volumeId,
    attachment_id: attachmentId,
    device,
    boot_index: null,
    delete_on_termination: wanted.deleteOnTermination ? 1 : 0,
    tag,
    made_from: null,
    created_at: clock.now(),
  };
  await insertBlockDevice(t, row);
  return row;
}

/** A device whose volume is kept for its server. */
export interface VolumeTaken {
  readonly volume_id: string;
  readonly attachment_id: string;
}

/** What operations on that device are started with. */
export function volumeOfServer(row: BlockDeviceRow & VolumeTaken): VolumeOfServerInput {
  const { server_id: serverId, id: deviceId, volume_id: volumeId, attachment_id: attachmentId } = row;
  return { serverId, deviceId, volumeId, attachmentId };
}

/**
 * Gives a server the volume that its request has reserved: serves it, then plugs it into the guest, if that runs. Undone as a whole,
 * with the volume available again.
 */
export function attachVolumeOperation(deps: ComputeDependencies): Operation<VolumeOfServerInput> {
  const { clock } = deps.kernel;
  const { blockStorage } = deps;
  return operation<VolumeOfServerInput>("server.attach_volume", { resource: "server", deadlineMs: minutes(15) })
    .step("serve", {
      slot: ({ input }) => guestSlot(input.serverId),
      effect: async (a, { input }) => ({ connection: await serveVolume(a, deps, input.volumeId) }),
      undo: (a, { input }) => stopServing(a, deps, input),
      span: [0, 30],
    })
    .step("connect", {
      tx: async (t, { input, out }) => {
        const { attachmentId, deviceId } = input;
        const host = hostOf(await getServer(t, input.serverId));
        const device = (await findBlockDevice(t, deviceId))?.device ?? "";
        await blockStorage.connected(t, { attachmentId, host, device, connection: out.serve.connection });
      },
    })
    .step("plug", {
      event: "compute_attach_volume",
      effect: (a, { input }) => plugVolume(a, deps, input.serverId, { volumeId: input.volumeId, has: true }),
      undo: (a, { input }) => unplugVolume(a, deps, input.serverId, { volumeId: input.volumeId, has: false }),
      span: [30, 95],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: op }) => {
        await mustStillBeThere(t, input.serverId, out.plug.host, "plug");
        await blockStorage.attached(t, input.attachmentId);
        await updateBlockDevice(t, input.deviceId, { state: "present" });
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      await lockServer(t, input.serverId);
      await blockStorage.letGo(t, input.attachmentId);
      await deleteBlockDevice(t, input.deviceId);
      await recordVolumeFault(t, deps, { serverId: input.serverId, requestId: op.requestId, fault });
    });
}

/** An evacuation that came between starts the guest as its devices say: then the step is done again, where the guest is by now. */
export async function mustStillBeThere(t: Tx, serverId: string, host: string, step: string): Promise<void> {
  const server = await lockServer(t, serverId);
  if (server?.host === host && !(await isOnTheMove(t, serverId))) return;
  throw new Redo(step, {}, { kind: "unavailable", code: "compute.server_moved", message: "The server has moved." });
}
