import type { Connection } from "../../../agent/protocol/connection.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import {
  ATTACHMENT_STATUSES,
  type AttachMode,
  adminMetadataOf,
  modeOf,
  mustBeReservable,
  statusWith,
} from "../domain/can-attach.ts";
import { invalidVolume, isMigrating } from "../domain/can-volume.ts";
import { isBusy } from "../domain/volume-state.ts";
import {
  attachmentNotFound,
  attachmentsOf,
  findAttachment,
  getAttachment,
  insertAttachment,
  removeAttachment,
  transitionAttachment,
} from "./attachments.ts";
import type { AttachmentRow, VolumeRow } from "./tables.ts";
import { lockVolume, transition, volumeNotFound } from "./volumes.ts";

/** The steps of attaching and detaching, each in its caller's transaction: volume and attachment change together. */

export interface AttachingTools {
  readonly clock: Clock;
  readonly ids: IdSource;
}

export interface Reservation {
  readonly volumeId: string;
  /** Of Compute, or whatever other clients call a server. */
  readonly serverId: string | null;
  /** Null: not said yet. */
  readonly mode: AttachMode | null;
  readonly heldByCompute: boolean;
}

/** Keeps the volume for one who will attach it: `available` → `reserved`. Throws 400 for a volume that is anything else. */
export async function reserve(t: Tx, { clock, ids }: AttachingTools, asked: Reservation): Promise<AttachmentRow> {
  const volume = await lockedVolume(t, asked.volumeId);
  mustBeReservable(volume);
  if (asked.mode !== null) modeOf(volume, asked.mode);
  await transition(t, { clock, id: volume.id, from: ["available"], to: { status: "reserved" }, action: "reserve" });
  const row: AttachmentRow = {
    id: ids.uuid(),
    volume_id: volume.id,
    project_id: volume.project_id,
    server_id: asked.serverId,
    attached_host: null,
    mountpoint: null,
    attach_mode: asked.mode,
    attach_status: "reserved",
    connector: null,
    connection_info: null,
    attached_at: null,
    detached_at: null,
    held_by_compute: asked.heldByCompute ? 1 : 0,
    created_at: clock.now(),
    updated_at: null,
  };
  await insertAttachment(t, row);
  return row;
}

export interface Connected {
  readonly attachmentId: string;
  /** Host that opens the volume. */
  readonly host: string | null;
  /** Device in the guest or on that host. */
  readonly mountpoint: string | null;
  readonly mode: AttachMode | null;
  /** What the client said about itself. */
  readonly connector: Readonly<Record<string, unknown>> | null;
  readonly connection: Connection;
}

/** The volume is served to whoever attaches it: `attaching`. Throws 400 when it is neither reserved nor being attached. */
export async function connected(t: Tx, { clock }: Pick<AttachingTools, "clock">, c: Connected): Promise<AttachmentRow> {
  const { volume, attachment } = await lockedBoth(t, c.attachmentId);
  if (attachment.attach_status !== "reserved" && attachment.attach_status !== "attaching")
    throw invalidVolume(`Attachment ${attachment.id} is ${attachment.attach_status}.`);
  const mode = modeOf(volume, c.mode ?? attachment.attach_mode);
  const from = ["reserved", "attaching"] as const;
  await transition(t, { clock, id: volume.id, from, to: { status: "attaching" }, action: "attach" });
  return await transitionAttachment(t, clock, attachment.id, {
    attach_status: "attaching",
    attached_host: c.host,
    mountpoint: c.mountpoint,
    attach_mode: mode,
    connector: c.connector === null ? null : JSON.stringify(c.connector),
    connection_info: JSON.stringify(c.connection),
  });
}

/** The disk is there: `in-use`. Throws 400 for an attachment that was not connected. */
export async function attached(t: Tx, { clock }: Pick<AttachingTools, "clock">, attachmentId: string): Promise<void> {
  const { volume, attachment } = await lockedBoth(t, attachmentId);
  if (attachment.attach_status === "reserved") throw invalidVolume(`Attachment ${attachmentId} has no connection yet.`);
  await markAttached(t, clock, volume, attachment.attach_mode ?? "rw", ["attaching", "in-use"]);
  await transitionAttachment(t, clock, attachmentId, { attach_status: "attached", attached_at: clock.now() });
}

/** `in-use` → `detaching`. Throws 400 for a volume that is anything else. */
export async function beginDetaching(t: Tx, { clock }: Pick<AttachingTools, "clock">, volumeId: string): Promise<void> {
  await transition(t, { clock, id: volumeId, from: ["in-use"], to: { status: "detaching" }, action: "detach" });
}

/** The guest keeps the disk after all: `detaching` → `in-use`. */
export async function rollDetaching(t: Tx, { clock }: Pick<AttachingTools, "clock">, volumeId: string): Promise<void> {
  await transition(t, { clock, id: volumeId, from: ["detaching"], to: { status: "in-use" }, action: "roll_detaching" });
}

/**
 * The attachment is no more; nobody may be served by it any longer. The volume is `available` unless others have it, or
 * something else keeps it in another state. Fine when there is no such attachment.
 */
export async function letGo(t: Tx, { clock }: Pick<AttachingTools, "clock">, attachmentId: string): Promise<void> {
  const attachment = await findAttachment(t, attachmentId);
  if (!attachment) return;
  const volume = await lockVolume(t, attachment.volume_id);
  await removeAttachment(t, attachmentId);
  if (volume && volume.deleted_at === null) await settleAfterDetach(t, clock, volume);
}

/**
 * What becomes of a volume of which an attachment was removed. With `force` its status says so also where it had been put in
 * error; never while something is done with it.
 */
export async function settleAfterDetach(
  t: Tx,
  clock: Clock,
  volume: VolumeRow,
  { force }: { force: boolean } = { force: false },
): Promise<void> {
  const settles =
    ATTACHMENT_STATUSES.includes(volume.status) || (force && !isBusy(volume.status) && !isMigrating(volume));
  const rest = await attachmentsOf(t, volume.id);
  const next = statusWith(rest);
  const { attached_mode: _, ...metadata } = adminMetadataOf(volume);
  // A volume that is being extended, or was put in error by a failover, goes back to what it is without the attachment.
  const waits = volume.previous_status !== null && ATTACHMENT_STATUSES.includes(volume.previous_status);
  const set = {
    ...(rest.some((row) => row.attach_status === "attached")
      ? {}
      : { attach_status: "detached" as const, admin_metadata: JSON.stringify(metadata) }),
    ...(waits && !settles ? { previous_status: next } : {}),
  };
  const to = { set, ...(settles ? { status: next } : {}) };
  await transition(t, { clock, id: volume.id, from: null, to, action: "detach" });
}

/** What the rows of a volume say that is in use; its attachment is written by whoever calls. */
export async function markAttached(
  t: Tx,
  clock: Clock,
  volume: VolumeRow,
  mode: AttachMode,
  from: Parameters<typeof transition>[1]["from"],
): Promise<void> {
  const admin_metadata = JSON.stringify({ ...adminMetadataOf(volume), attached_mode: mode });
  const to = { status: "in-use" as const, set: { attach_status: "attached" as const, admin_metadata } };
  await transition(t, { clock, id: volume.id, from, to, action: "attach" });
}

export async function lockedVolume(t: Tx, id: string): Promise<VolumeRow> {
  const volume = await lockVolume(t, id);
  if (!volume || volume.deleted_at !== null) throw volumeNotFound(id);
  return volume;
}

/** Both locked: the volume first, as everywhere. Throws 404. */
export async function lockedBoth(
  t: Tx,
  attachmentId: string,
): Promise<{ volume: VolumeRow; attachment: AttachmentRow }> {
  const { volume_id } = await getAttachment(t, attachmentId);
  const volume = await lockedVolume(t, volume_id);
  // It may have gone while the volume was waited for.
  const attachment = await findAttachment(t, attachmentId);
  if (!attachment) throw attachmentNotFound(attachmentId);
  return { volume, attachment };
}
