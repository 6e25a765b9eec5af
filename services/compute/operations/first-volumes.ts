import type { Connection } from "../../../agent/protocol/connection.ts";
import { seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { EffectContext, Wait } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { hostOf } from "../domain/can.ts";
import type { MadeFrom } from "../store/block-device-tables.ts";
import { blockDevicesOf, updateBlockDevice } from "../store/block-devices.ts";
import { getServer } from "../store/servers.ts";
import { serveVolume } from "./volume-calls.ts";

/** The parts of `server.create` that concern the volumes of a new server. */

const RECHECK_MS = seconds(1);

/** Begins to make the volumes that the server is to have and that are not there yet. */
export async function makeVolumes(
  t: Tx,
  deps: ComputeDependencies,
  serverId: string,
  requestId: string | null,
): Promise<{ made: string[] }> {
  const { project_id: projectId, user_id: userId } = await getServer(t, serverId);
  const made: string[] = [];
  for (const { id, state, made_from: text } of await blockDevicesOf(t, serverId)) {
    if (state !== "wanted" || text === null) continue;
    const from = JSON.parse(text) as MadeFrom;
    const volumeId = await deps.blockStorage.create(t, { projectId, userId, requestId, name: "", ...from });
    await updateBlockDevice(t, id, { volume_id: volumeId });
    made.push(volumeId);
  }
  return { made };
}

/** Waits until all of them are there. Throws `compute.volume_not_made` when one will never be. */
export async function volumesMade(
  a: EffectContext,
  { blockStorage, kernel }: ComputeDependencies,
  volumeIds: readonly string[],
): Promise<{ ready: true } | Wait> {
  for (const id of volumeIds) {
    const status = (await blockStorage.find(a.read, id))?.status ?? "deleted";
    if (status === "creating") return a.wait({ untilMs: kernel.clock.now() + RECHECK_MS });
    if (status !== "available")
      throw new CloudError(
        "conflict",
        "compute.volume_not_made",
        `Build of instance aborted: Volume ${id} did not finish being created; its status is ${status}.`,
      );
  }
  return { ready: true };
}

export async function reserveMade(t: Tx, { blockStorage }: ComputeDependencies, serverId: string): Promise<void> {
  for (const { id, state, volume_id: volumeId } of await blockDevicesOf(t, serverId)) {
    if (state !== "wanted" || volumeId === null) continue;
    const { attachmentId } = await blockStorage.reserve(t, { volumeId, serverId });
    await updateBlockDevice(t, id, { state: "reserved", attachment_id: attachmentId });
  }
}

/** Where each of the server's volumes is served, by device. */
export async function serveReserved(
  a: EffectContext,
  deps: ComputeDependencies,
  serverId: string,
): Promise<Record<string, Connection>> {
  const served: Record<string, Connection> = {};
  for (const { id, volume_id: volumeId } of await blockDevicesOf(a.read, serverId))
    if (volumeId !== null) served[id] = await serveVolume(a, deps, volumeId);
  return served;
}

export async function connectVolumes(
  t: Tx,
  { blockStorage }: ComputeDependencies,
  serverId: string,
  served: Readonly<Record<string, Connection>>,
): Promise<void> {
  const host = hostOf(await getServer(t, serverId));
  for (const { id, device, attachment_id: attachmentId } of await blockDevicesOf(t, serverId)) {
    const connection = served[id];
    if (!connection || attachmentId === null) continue;
    await blockStorage.connected(t, { attachmentId, host, device, connection });
    await updateBlockDevice(t, id, { state: "present" });
  }
}

export async function publishVolumes(t: Tx, { blockStorage }: ComputeDependencies, serverId: string): Promise<void> {
  for (const { attachment_id: attachmentId } of await blockDevicesOf(t, serverId))
    if (attachmentId !== null) await blockStorage.attached(t, attachmentId);
}
