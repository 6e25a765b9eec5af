import type { VolumeRow } from "../store/tables.ts";
import { DELETABLE, invalidVolume, mustBeRemovable } from "./can-volume.ts";

/** Whether a volume may be let go, its data staying on the array. Throws 400. */
export function mustBeUnmanageable(volume: VolumeRow, hasSnapshots: boolean): void {
  mustBeRemovable(volume);
  if (!DELETABLE.includes(volume.status))
    throw invalidVolume(`Volume ${volume.id} must be one of ${DELETABLE.join(", ")}, but is ${volume.status}.`);
  if (hasSnapshots) throw invalidVolume(`Volume ${volume.id} has snapshots.`);
  if (volume.encrypted === 1) throw invalidVolume(`Volume ${volume.id} is encrypted.`);
}
