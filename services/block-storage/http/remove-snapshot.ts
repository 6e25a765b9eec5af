import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { DELETABLE_SNAPSHOT, invalidVolume } from "../domain/can-volume.ts";
import { getSnapshot, transitionSnapshot } from "../store/snapshots.ts";
import { lockVolume } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mustNotBeFrozen } from "./remove-volume.ts";

/** Begins the removal of a snapshot; `force`: whatever its status. Throws 400 when it may not go. */
export async function removeSnapshot(
  t: Tx,
  deps: FaceDependencies,
  { snapshotId: id, force, requestId }: { snapshotId: string; force: boolean; requestId: string },
): Promise<void> {
  const { clock, operations } = deps.kernel;
  const { volume_id: volumeId } = await getSnapshot(t, id);
  const volume = await lockVolume(t, volumeId);
  if (volume) await mustNotBeFrozen(t, volume);
  const snapshot = await getSnapshot(t, id);
  if (!force && !DELETABLE_SNAPSHOT.includes(snapshot.status))
    throw invalidVolume(`Snapshot ${id} must be available or error, but is ${snapshot.status}.`);
  await abandonSnapshotWork(t, deps, id);
  const to = { status: "deleting" as const };
  await transitionSnapshot(t, { clock, id, from: [snapshot.status], to, action: "delete" });
  await operations.start(t, deps.operations.deleteSnapshot, {
    input: { snapshotId: id },
    resourceId: id,
    projectId: snapshot.project_id,
    userId: snapshot.user_id,
    requestId,
  });
}

/** Whoever takes over a snapshot ends what is under way for it. */
export async function abandonSnapshotWork(t: Tx, deps: FaceDependencies, id: string): Promise<void> {
  for (const live of await liveOperations(t, id)) await deps.kernel.operations.abandon(t, live.id);
}
