import { minutes, seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { type EffectContext, type Operation, operation, type Wait } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { allocationsOf } from "../store/allocations.ts";
import type { BlockDeviceRow } from "../store/block-device-tables.ts";
import { blockDevicesOf, deleteBlockDevice, findBlockDevice } from "../store/block-devices.ts";
import { lockServer } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { stopServing } from "./volume-calls.ts";

export interface ReleaseVolumeInput {
  readonly serverId: string;
  readonly deviceId: string;
  readonly volumeId: string;
}

const RELEASE = "server.release_volume";
/** Moving a volume may take hours. */
const RECHECK_MS = seconds(5);

/**
 * Gives up a volume of a server that is gone, or was never built. Only goes forward: a backend that is away does it when it
 * returns, and a volume that is being moved, extended or retyped is given up when that has ended.
 */
export function releaseVolumeOperation(deps: ComputeDependencies): Operation<ReleaseVolumeInput> {
  return operation<ReleaseVolumeInput>(RELEASE, { resource: "server", deadlineMs: minutes(60) })
    .pivot()
    .step("stop-serving", {
      effect: (a, { input }) => whenStill(a, deps, input),
      span: [0, 95],
    })
    .step("finish", {
      tx: async (t, { input, operation: op }) => {
        const [server, device] = [await lockServer(t, input.serverId), await findBlockDevice(t, input.deviceId)];
        if (server && device) await giveUpDevice(t, deps, server, device, op.requestId);
      },
    })
    .build();
}

async function whenStill(a: EffectContext, deps: ComputeDependencies, input: ReleaseVolumeInput): Promise<Wait | null> {
  try {
    await stopServing(a, deps, input);
    return null;
  } catch (error) {
    if (!(error instanceof CloudError) || error.code !== "compute.volume_unsettled") throw error;
    a.progress(0, { waiting_for_volume: input.volumeId });
    return a.wait({ untilMs: deps.kernel.clock.now() + RECHECK_MS });
  }
}

/**
 * The server has the volume no more, which nobody is served now. It is removed where the user wants that, and where it was made
 * for a server that then was not built; not when an administrator has taken it from the server meanwhile, for somebody else.
 */
export async function giveUpDevice(
  t: Tx,
  deps: ComputeDependencies,
  server: ServerRow,
  device: BlockDeviceRow,
  requestId: string | null,
): Promise<void> {
  const { volume_id: volumeId, attachment_id: attachmentId, made_from: madeFrom } = device;
  const attachments = await deps.blockStorage.attachmentsOfServer(t, server.id);
  const taken = attachmentId !== null && attachments.get(volumeId ?? "")?.attachmentId !== attachmentId;
  if (attachmentId !== null) await deps.blockStorage.letGo(t, attachmentId);
  await deleteBlockDevice(t, device.id);
  const inVain = madeFrom !== null && server.launched_at === null;
  const unwanted = device.delete_on_termination === 1 && server.deleted_at !== null && !taken;
  if (volumeId === null || !(inVain || unwanted)) return;
  try {
    await deps.blockStorage.remove(t, { volumeId, force: inVain, requestId });
  } catch (error) {
    // As in Nova: a volume that has snapshots, say, outlives its server.
    if (!(error instanceof CloudError)) throw error;
    deps.kernel.loggers.get("compute.volumes").warn({ volume: volumeId, reason: error.message }, "a volume stays");
  }
}

/**
 * Gives up the volumes of a server that is gone, or was never built, once no host may still run its guest, who would write to
 * them. To be called after each change of either, as `freeAddresses`; who comes last frees them.
 */
export async function freeVolumes(
  t: Tx,
  deps: ComputeDependencies,
  release: Operation<ReleaseVolumeInput>,
  serverId: string,
  requestId: string | null = null,
): Promise<void> {
  const devices = await blockDevicesOf(t, serverId);
  if (devices.length === 0) return;
  const server = await lockServer(t, serverId);
  const neverBuilt = server?.host === null && server.vm_state === "error";
  if (!server || (server.deleted_at === null && !neverBuilt)) return;
  if ((await allocationsOf(t, serverId)).length > 0) return;
  const live = (await liveOperations(t, serverId)).filter((one) => one.name === RELEASE);
  const released = live.map((one) => (JSON.parse(one.input) as ReleaseVolumeInput).deviceId);
  for (const device of devices) {
    if (released.includes(device.id)) continue;
    if (device.volume_id === null) await giveUpDevice(t, deps, server, device, requestId);
    else {
      const input = { serverId, deviceId: device.id, volumeId: device.volume_id };
      const { project_id: projectId } = server;
      await deps.kernel.operations.start(t, release, { input, resourceId: serverId, projectId, requestId });
    }
  }
}
