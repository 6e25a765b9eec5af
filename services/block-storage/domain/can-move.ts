import type { VolumeRow } from "../store/tables.ts";
import { invalidVolume, isMigrating, READABLE } from "./can-volume.ts";

/** Mirrored to its backend's replication target. */
export function isReplicated({ replication_status: status }: Pick<VolumeRow, "replication_status">): boolean {
  return status !== null && status !== "disabled" && status !== "not-capable";
}

/** Whether a volume may be migrated or retyped now, as far as its state says. Throws 400. */
export function mustBeIdle(volume: VolumeRow): void {
  if (!READABLE.includes(volume.status))
    throw invalidVolume(`Volume ${volume.id} must be available or in-use, but is ${volume.status}.`);
  if (isMigrating(volume)) throw invalidVolume(`Volume ${volume.id} is migrating.`);
  if (volume.group_id !== null) throw invalidVolume(`Volume ${volume.id} belongs to a group.`);
}

/** Whether its data can go to another backend: neither a second copy nor snapshots could come along. Throws 400. */
export function mustBeMovable(volume: VolumeRow, hasSnapshots: boolean): void {
  if (isReplicated(volume)) throw invalidVolume(`Volume ${volume.id} is replicated.`);
  if (hasSnapshots) throw invalidVolume(`Volume ${volume.id} has snapshots.`);
}
