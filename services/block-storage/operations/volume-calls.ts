import { blockStorageVerbs, type VolumeFacts } from "../../../agent/protocol/block-storage.ts";
import type { Connection } from "../../../agent/protocol/connection.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError, type PublicFault, publicFault } from "../../../kernel/errors/cloud-error.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { OperationControl } from "../../../kernel/operations/control.ts";
import type { EffectContext } from "../../../kernel/operations/definition.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ImagePublic } from "../../image/public.ts";
import { parsePlace, withoutPool } from "../domain/place.ts";
import type { Pool } from "../scheduler/pools.ts";
import type { BlockStorageSettings } from "../settings.ts";
import { attachmentsOf } from "../store/attachments.ts";
import type { AttachmentRow, VolumeRow } from "../store/tables.ts";
import { findVolume } from "../store/volumes.ts";
import { isRefusal, noteRefusal } from "./refusals.ts";

/** What operations on volumes work with. */
export interface VolumeTools {
  readonly kernel: { readonly clock: Clock; readonly ids: IdSource; readonly operations: OperationControl };
  readonly settings: BlockStorageSettings;
  readonly fleet: FleetSettings;
  readonly images: Pick<ImagePublic, "imageSource">;
}

/** Where a volume's commands go: any living member of its cluster, else its host; and the backend that they name. */
export type VolumeTarget = {
  readonly backend: string;
  readonly to: { readonly cluster: string } | { readonly host: string };
};

/** `cluster@backend` or `node@backend` of a placed volume; null before it is placed. */
export function scopeOf(volume: Pick<VolumeRow, "host" | "cluster_name">): string | null {
  const place = volume.cluster_name ?? volume.host;
  return place === null ? null : withoutPool(place);
}

/** Null for a volume that was never placed. */
export function targetOf(volume: Pick<VolumeRow, "host" | "cluster_name">): VolumeTarget | null {
  const { host, cluster_name: cluster } = volume;
  if (host === null) return null;
  const { node, backend } = parsePlace(host);
  const to = cluster === null ? { host: node } : { cluster: withoutPool(cluster) };
  return { backend: backend ?? "", to };
}

/** As `targetOf`, for a volume that must have been placed: it was made once. */
export function requiredTarget(volume: Pick<VolumeRow, "host" | "cluster_name">): VolumeTarget {
  const target = targetOf(volume);
  if (target) return target;
  throw new CloudError("internal", "block-storage.not_placed", "The volume is nowhere.");
}

export function targetOfPool(pool: Pool): VolumeTarget {
  const to = pool.cluster === null ? { host: pool.backend.node } : { cluster: pool.scope };
  return { backend: pool.backend.backend, to };
}

/** How a backend answered a command that is not undone. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly fault: PublicFault };
export type Answered<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: PublicFault };

/** Throws unless there is an answer: see `isRefusal`. */
export async function answerOf(a: EffectContext, work: Promise<unknown>): Promise<Outcome> {
  const answer = await answerWith(a, work, () => null);
  return answer.ok ? { ok: true } : answer;
}

/** What the work comes to, or that the backend waits for one of its arrays: see `waitsForArray`. */
export async function answerUnlessWaiting(work: Promise<Outcome>): Promise<Outcome> {
  try {
    return await work;
  } catch (error) {
    const fault = publicFault(error);
    if (fault.code === ARRAY_AWAY) return { ok: false, fault };
    throw error;
  }
}

/** The backend does it once the array is back, which may take long: the resource's owner is told. */
export function waitsForArray(outcome: Outcome | undefined): boolean {
  return outcome?.ok === false && outcome.fault.code === ARRAY_AWAY;
}

const ARRAY_AWAY = "storage.array_unreachable";

/** As `answerOf`, with what is to be kept of the answer. */
export async function answerWith<T, V>(
  a: EffectContext,
  work: Promise<T>,
  keep: (answer: T) => V,
): Promise<Answered<V>> {
  try {
    return { ok: true, value: keep(await work) };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    noteRefusal(a, error);
    return { ok: false, fault: publicFault(error) };
  }
}

/** Whether a volume is served to clients other than Compute is decided by one at a time. */
export function connectionSlot(volumeId: string): { key: string; max: number } {
  return { key: `connection-of:${volumeId}`, max: 1 };
}

/** Where a volume that was to be served is found. Throws `block-storage.not_served` (unavailable) when its backend does not say. */
export function connectionOf(facts: VolumeFacts): Connection {
  if (facts.connection) return facts.connection;
  throw new CloudError("unavailable", "block-storage.not_served", `Volume ${facts.volumeId} is not being served yet.`);
}

/**
 * Ends the serving to these attachments, unless somebody else has the volume. Compute serves what it has reserved without
 * `connectionSlot`: when it reserves the volume while its backend ends the serving, the volume is served again.
 */
export async function endServing(a: EffectContext, volumeId: string, own: readonly string[]): Promise<Outcome> {
  const volume = await findVolume(a.read, volumeId);
  const target = volume ? targetOf(volume) : null;
  if (target === null) return { ok: true };
  const { backend, to } = target;
  const tell = (verb: "volume.ensureExported" | "volume.ensureNotExported") =>
    answerOf(a, a.call(blockStorageVerbs, verb, { backend, volumeId }, { to }));
  const ended = (await isServedToOthers(a.read, volumeId, own)) ? null : await tell("volume.ensureNotExported");
  // Also when an earlier try came no further than to the end of the serving.
  if (await isServedToOthers(a.read, volumeId, own)) await tell("volume.ensureExported");
  return ended ?? { ok: true };
}

/** Somebody else than these attachments is, or is just being, connected to the volume, or it is in use without saying by whom. */
async function isServedToOthers(q: Queries, volumeId: string, own: readonly string[]): Promise<boolean> {
  const rows = await attachmentsOf(q, volumeId);
  const isServed = (row: AttachmentRow) => row.attach_status !== "reserved" || row.held_by_compute === 1;
  if (rows.some((row) => !own.includes(row.id) && isServed(row))) return true;
  return rows.length === 0 && (await findVolume(q, volumeId))?.status === "in-use";
}
