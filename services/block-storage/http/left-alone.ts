import type { Tx } from "../../../kernel/store/store.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { lockedVolume } from "../store/attaching.ts";
import { attachmentsOf } from "../store/attachments.ts";
import type { VolumeRow } from "../store/tables.ts";
import { findVolume } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";

/**
 * The volume, locked, with the servers that have it as a disk left alone until the transaction ends: nothing may be under way that
 * opens or closes their disks. Servers are locked before volumes, as Compute does. Throws 400, 404.
 */
export async function lockLeftAlone(t: Tx, deps: Pick<FaceDependencies, "servers">, id: string): Promise<VolumeRow> {
  const seen = await findVolume(t, id);
  for (const row of await attachmentsOf(t, id))
    if (row.held_by_compute === 1 && row.server_id !== null && !(await deps.servers.holdSettled(t, row.server_id)))
      throw invalidVolume(`Server ${row.server_id}, which has volume ${id}, is changing now.`);
  const volume = await lockedVolume(t, id);
  if (volume.status === seen?.status) return volume;
  throw invalidVolume(`Volume ${id} is changing now.`);
}

/** Of other clients it is not known whether they come back when a volume has moved. Throws 400. */
export async function mustBeComputes(t: Tx, { id, status }: Pick<VolumeRow, "id" | "status">): Promise<void> {
  const attachments = status === "in-use" ? await attachmentsOf(t, id) : null;
  if (attachments === null || (attachments.length > 0 && attachments.every((row) => row.held_by_compute === 1))) return;
  throw invalidVolume(`Volume ${id} is attached to what is no server of Compute.`);
}
