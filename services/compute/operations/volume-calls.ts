import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { computeVerbs } from "../../../agent/protocol/compute.ts";
import type { Connection } from "../../../agent/protocol/connection.ts";
import { minutes, seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { errorFields } from "../../../kernel/log/logger.ts";
import type { EffectContext, Wait } from "../../../kernel/operations/definition.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { isInGuest } from "../domain/block-devices.ts";
import { hostOf } from "../domain/can.ts";
import { isMoving } from "../domain/server-state.ts";
import { guestSpec, type VolumeChange } from "../guest-spec.ts";
import { blockDevicesOf } from "../store/block-devices.ts";
import { getServer } from "../store/servers.ts";
import { isUnsettled } from "./unsettled.ts";

/** What changes a guest while it is there holds this: hot plugs, power actions and moves come one after the other. */
export function guestSlot(serverId: string): { key: string; max: number } {
  return { key: `guest:${serverId}`, max: 1 };
}

/** A guest's answer to a hot unplug may take this long, TCG and a busy host included. */
const GUEST_PATIENCE_MS = minutes(2);
const RECHECK_MS = seconds(1);

/** So a backend answers that has not the volume, or is not there any more, or of which another has taken over. */
const SERVES_NOTHING: readonly string[] = [
  "block-storage.volume_not_found",
  "block-storage.not_placed",
  "storage.volume_not_found",
  "storage.no_backend",
  "storage.failed_over",
  "storage.replica_stale",
  "storage.target_unreachable",
  "agent.unknown_verb",
];

/** Serves the volume to whoever has reserved it, and starts again what has died. */
export async function serveVolume(a: EffectContext, deps: ComputeDependencies, volumeId: string): Promise<Connection> {
  const { backend, to } = await deps.blockStorage.servingBackend(a.read, volumeId);
  const options = { to, subject: volumeId, extra: volumeId };
  const facts = await a.call(blockStorageVerbs, "volume.ensureExported", { backend, volumeId }, options);
  if (facts.connection) return facts.connection;
  throw new CloudError("unavailable", "compute.volume_not_served", `Volume ${volumeId} is not being served yet.`);
}

/**
 * The server is served the volume no more; a backend that serves nothing (`SERVES_NOTHING`) is fine. Every other refusal is thrown,
 * as the volume may still be served then. So is `compute.volume_unsettled` for a volume that is changing: its backend would
 * serve it anew, or is about to be another. What others have by now goes on being served.
 */
export async function stopServing(
  a: EffectContext,
  deps: ComputeDependencies,
  { volumeId, serverId }: { volumeId: string; serverId: string },
): Promise<void> {
  if (await deps.blockStorage.othersHave(a.read, { volumeId, serverId })) return;
  if ((await deps.blockStorage.find(a.read, volumeId))?.changing)
    throw new CloudError(
      "unavailable",
      "compute.volume_unsettled",
      `Volume ${volumeId} is being moved, extended or retyped.`,
    );
  try {
    const { backend, to } = await deps.blockStorage.servingBackend(a.read, volumeId);
    const options = { to, subject: volumeId, extra: volumeId };
    await a.call(blockStorageVerbs, "volume.ensureNotExported", { backend, volumeId }, options);
  } catch (error) {
    if (!(error instanceof CloudError) || !SERVES_NOTHING.includes(error.code)) throw error;
    a.log.info({ volume: volumeId, ...errorFields(error) }, "the volume is served by nobody");
  }
}

/** Before a guest starts: a backend may have been away, and its host may have been another. As `guestSpec`, without what was reset. */
export async function serveVolumesOf(a: EffectContext, deps: ComputeDependencies, serverId: string): Promise<void> {
  const attachments = await deps.blockStorage.attachmentsOfServer(a.read, serverId);
  for (const row of await blockDevicesOf(a.read, serverId))
    if (row.volume_id !== null && isInGuest(row) && attachments.has(row.volume_id))
      await serveVolume(a, deps, row.volume_id);
}

/**
 * Plugs a volume into the guest, or out of it, or with `null` what it lacks, wherever the guest is by now; one that is off or not there gets it with its next
 * start. Waits while an evacuation or a clean-up decides where the guest is. Returns the host.
 */
export async function plugVolume(
  a: EffectContext,
  deps: ComputeDependencies,
  serverId: string,
  change: VolumeChange | null,
): Promise<{ host: string } | Wait> {
  const { clock } = deps.kernel;
  const server = await getServer(a.read, serverId);
  if (await isOnTheMove(a.read, serverId)) return a.wait({ untilMs: clock.now() + RECHECK_MS });
  const host = hostOf(server);
  const spec = await guestSpec(a.read, deps, server, undefined, change);
  // A subject of its own: what else is told to the host about this server must not find its epoch overtaken by this one's.
  const about = { to: { host }, subject: `${serverId}/volumes`, extra: `${host}-${a.attempt}` };
  try {
    await a.call(computeVerbs, "compute.ensureVolumes", { spec }, { ...about, timeoutMs: GUEST_PATIENCE_MS });
  } catch (error) {
    if (error instanceof CloudError && error.code === "compute.guest_not_found") return { host };
    const now = await getServer(a.read, serverId);
    if (now.host === host && !(await isOnTheMove(a.read, serverId))) throw error;
    return a.wait({ untilMs: clock.now() + RECHECK_MS });
  }
  return { host };
}

/** An evacuation or a clean-up may start its guest elsewhere. */
export async function isOnTheMove(q: Queries, serverId: string): Promise<boolean> {
  const { task_state } = await getServer(q, serverId);
  return isMoving(task_state) || (await isUnsettled(q, serverId));
}

/** As `plugVolume`, for an undo, which cannot wait: fails as `unavailable` where that would. */
export async function unplugVolume(
  a: EffectContext,
  deps: ComputeDependencies,
  serverId: string,
  change: VolumeChange,
): Promise<void> {
  const done = await plugVolume(a, deps, serverId, change);
  if ("host" in done) return;
  throw new CloudError("unavailable", "compute.server_moving", `Instance ${serverId} is between two hosts.`);
}
