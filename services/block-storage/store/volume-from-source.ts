import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { ImageSummary } from "../../image/public.ts";
import { newVolumeRow } from "./new-volume.ts";
import type { SnapshotRow, VolumeRow, VolumeTypeRow } from "./tables.ts";

/** What a new volume is made from; of a snapshot also the volume that it was taken of. */
export interface NewVolumeSource {
  readonly snapshot: SnapshotRow | null;
  readonly volume: VolumeRow | null;
  readonly image: ImageSummary | null;
}

export interface NewVolume {
  readonly projectId: string;
  readonly userId: string;
  readonly name: string | null;
  readonly description: string | null;
  readonly sizeGiB: number;
  readonly type: VolumeTypeRow;
  readonly zone: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly source: NewVolumeSource;
}

/** The row of a volume that is about to be made. */
export function rowFromSource({ clock, ids }: { clock: Clock; ids: IdSource }, wanted: NewVolume): VolumeRow {
  const { snapshot, volume, image } = wanted.source;
  const fromVolume = volume !== null && snapshot === null;
  const { projectId: project_id, userId: user_id, type, zone } = wanted;
  return {
    ...newVolumeRow({ id: ids.uuid(), project_id, user_id, type_id: type.id, zone, created_at: clock.now() }),
    name: wanted.name,
    description: wanted.description,
    size_gib: wanted.sizeGiB,
    bootable: volume?.bootable ?? 0,
    snapshot_id: snapshot?.id ?? null,
    source_volume_id: fromVolume ? volume.id : null,
    image_id: image?.id ?? null,
    metadata: JSON.stringify(wanted.metadata),
    image_metadata: image ? JSON.stringify(imageMetadata(image)) : (volume?.image_metadata ?? null),
  };
}

const GIB = 1024 ** 3;

/** GiB that a volume must have to hold its source. */
export function leastSizeOf({ snapshot, volume, image }: NewVolumeSource): number {
  const imageSize = image
    ? Math.max(image.minDiskGiB, Math.ceil((image.virtualSizeBytes ?? image.sizeBytes ?? 0) / GIB))
    : 0;
  return snapshot?.size_gib ?? volume?.size_gib ?? imageSize;
}

/** What is kept of an image with the volume, so that it boots as the image would. */
function imageMetadata(image: ImageSummary): Record<string, string> {
  const facts: Record<string, string | number | null> = {
    ...image.properties,
    image_id: image.id,
    image_name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    min_disk: image.minDiskGiB,
    min_ram: image.minRamMiB,
    size: image.sizeBytes,
  };
  const kept = Object.entries(facts).filter(([, value]) => value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, String(value)]));
}
