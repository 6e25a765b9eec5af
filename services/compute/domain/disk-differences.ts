import type { BlockDeviceRow } from "../store/block-device-tables.ts";

export type DeviceOfServer = Pick<BlockDeviceRow, "volume_id" | "state" | "boot_index">;

/** Volumes by which a guest that is on differs from what its server has. */
export interface DiskDifferences {
  /** It is to have these, and has not. What it boots from is not plugged, so that does not count. */
  readonly lacks: readonly string[];
  /** It has these, and is not to have them. */
  readonly extra: readonly string[];
}

/** While one of the server's volumes is on its way in or out, nothing can be said. */
export function diskDifferences(devices: readonly DeviceOfServer[], volumeIds: readonly string[]): DiskDifferences {
  if (devices.some(({ state }) => state !== "present")) return { lacks: [], extra: [] };
  const had = new Set(volumeIds);
  const known = new Set(devices.map((device) => device.volume_id));
  return {
    lacks: devices.flatMap(({ volume_id: id, boot_index }) =>
      id === null || boot_index === 0 || had.has(id) ? [] : [id],
    ),
    extra: volumeIds.filter((id) => !known.has(id)),
  };
}
