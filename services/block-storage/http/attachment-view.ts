import type { Connection } from "../../../agent/protocol/connection.ts";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { adminMetadataOf, isReadOnly } from "../domain/can-attach.ts";
import type { AttachmentRow, VolumeRow } from "../store/tables.ts";

export type AttachmentView = Record<string, unknown>;

/** As lists show it. */
export function attachmentSummary(row: AttachmentRow): AttachmentView {
  return { id: row.id, status: row.attach_status, instance: row.server_id, volume_id: row.volume_id };
}

/** With how to connect, which is empty until the attachment was updated. */
export function attachmentDetail(row: AttachmentRow): AttachmentView {
  return {
    ...attachmentSummary(row),
    attached_at: row.attached_at === null ? "" : isoMicros(row.attached_at),
    detached_at: row.detached_at === null ? "" : isoMicros(row.detached_at),
    attach_mode: row.attach_mode ?? "null",
    connection_info:
      row.connection_info === null
        ? {}
        : {
            ...connectionData(JSON.parse(row.connection_info) as Connection, row.attach_mode ?? "rw"),
            driver_volume_type: "nbd",
            attachment_id: row.id,
            volume_id: row.volume_id,
          },
  };
}

/** The older form, of `os-initialize_connection`. */
export function connectionInfo(connection: Connection, volume: VolumeRow) {
  const data = connectionData(connection, isReadOnly(volume) ? "ro" : "rw");
  return { driver_volume_type: "nbd", data: { ...data, volume_id: volume.id } };
}

function connectionData(connection: Connection, mode: "rw" | "ro") {
  return { ...connection, access_mode: mode, encrypted: false, qos_specs: null };
}

const VISIBLE = ["readonly", "attached_mode"];

/** A volume's metadata as users see it: theirs, and what the cloud notes about reading and attaching. */
export function shownMetadata(volume: Pick<VolumeRow, "metadata" | "admin_metadata">): Record<string, string> {
  const own = JSON.parse(volume.metadata) as Record<string, string>;
  const noted = Object.entries(adminMetadataOf(volume)).filter(([key]) => VISIBLE.includes(key));
  return { ...own, ...Object.fromEntries(noted) };
}
