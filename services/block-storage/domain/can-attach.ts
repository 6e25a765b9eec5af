import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { AttachmentRow, VolumeRow } from "../store/tables.ts";
import { invalidVolume } from "./can-volume.ts";
import type { VolumeStatus } from "./volume-state.ts";

export type AttachMode = "rw" | "ro";

/** What a volume's status says of attachments, and nothing else. */
export const ATTACHMENT_STATUSES: readonly VolumeStatus[] = ["reserved", "attaching", "in-use", "detaching"];

/** Throws 400 unless somebody may begin to attach the volume. */
export function mustBeReservable(volume: VolumeRow): void {
  if (volume.status !== "available")
    throw invalidVolume(`Volume ${volume.id} status must be available to reserve, but the status is ${volume.status}.`);
  if (volume.migration_status?.startsWith("target:"))
    throw invalidVolume(`Volume ${volume.id} is the destination of a migration.`);
}

/** An administrator's or owner's flag: the volume is attached for reading only. */
export function isReadOnly(volume: Pick<VolumeRow, "admin_metadata">): boolean {
  return adminMetadataOf(volume).readonly === "True";
}

/** The mode of a new attachment. Throws 400 where writing is asked for and the volume is for reading only. */
export function modeOf(volume: VolumeRow, asked: AttachMode | null): AttachMode {
  if (!isReadOnly(volume)) return asked ?? "rw";
  if (asked === "rw")
    throw invalidVolume(`Invalid attaching mode 'rw' for volume ${volume.id}: it can be attached for reading only.`);
  return "ro";
}

/** Compute attaches and detaches what its servers have; doing it behind its back would pull a disk out of a guest. Throws 409. */
export function mustNotBeComputes(attachment: Pick<AttachmentRow, "held_by_compute" | "server_id">): void {
  if (attachment.held_by_compute === 0) return;
  throw new CloudError(
    "conflict",
    "block-storage.used_by_compute",
    `Detach volume from instance ${attachment.server_id} using the Compute API`,
  );
}

/** The status of a volume that has these attachments and no work under way. */
export function statusWith(attachments: readonly Pick<AttachmentRow, "attach_status">[]): VolumeStatus {
  const statuses = attachments.map((attachment) => attachment.attach_status);
  if (statuses.includes("attached")) return "in-use";
  if (statuses.includes("detaching")) return "detaching";
  if (statuses.includes("attaching")) return "attaching";
  return statuses.length > 0 ? "reserved" : "available";
}

export function adminMetadataOf(volume: Pick<VolumeRow, "admin_metadata">): Record<string, string> {
  return JSON.parse(volume.admin_metadata) as Record<string, string>;
}
