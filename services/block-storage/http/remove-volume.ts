import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { DELETABLE, DELETABLE_SNAPSHOT, invalidVolume, mustBeRemovable } from "../domain/can-volume.ts";
import { endMoves } from "../operations/end-moves.ts";
import { REMOVE_LEFTOVER } from "../operations/remove-leftover.ts";
import { scopeOf } from "../operations/volume-calls.ts";
import { MOVES } from "../operations/volume-move.ts";
import { lockScope, stateOfScope } from "../store/backends.ts";
import { snapshotsOf, transitionSnapshot } from "../store/snapshots.ts";
import type { VolumeRow } from "../store/tables.ts";
import { lockVolume, transition, volumeNotFound } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";

/** How a volume is to go. */
export interface Removal {
  readonly volumeId: string;
  /** Whatever its status, also while it is worked on. */
  readonly force: boolean;
  /** With its snapshots. */
  readonly cascade: boolean;
  readonly requestId: string | null;
}

type Tools = Pick<FaceDependencies, "kernel" | "operations">;

/** Begins the removal of a volume; one that was never placed is gone at once. Throws 400 when it may not go. */
export async function removeVolume(t: Tx, deps: Tools, removal: Removal): Promise<void> {
  const { clock, operations } = deps.kernel;
  const { volumeId: id, force, cascade, requestId } = removal;
  const volume = await lockVolume(t, id);
  if (!volume || volume.deleted_at !== null) throw volumeNotFound(id);
  mustBeRemovable(volume);
  if (!force && !DELETABLE.includes(volume.status))
    throw invalidVolume(`Volume ${id} must be one of ${DELETABLE.join(", ")}, but is ${volume.status}.`);
  await mustNotBeFrozen(t, volume);
  const snapshots = await snapshotsOf(t, id);
  if (snapshots.length > 0 && !cascade) throw invalidVolume(`Volume ${id} has snapshots.`);
  if (snapshots.some((snapshot) => !DELETABLE_SNAPSHOT.includes(snapshot.status)))
    throw invalidVolume(`A snapshot of volume ${id} is being worked on.`);
  await abandonWork(t, deps, id);
  const snapshotTo = { status: "deleting" as const };
  for (const { id: one } of snapshots)
    await transitionSnapshot(t, { clock, id: one, from: null, to: snapshotTo, action: "delete" });
  const gone = volume.host === null ? { deleted_at: clock.now() } : {};
  const to = { status: "deleting" as const, set: { previous_status: volume.status, ...gone } };
  // Nobody else can have changed its status since it was locked.
  await transition(t, { clock, id, from: null, to, action: "delete" });
  if (volume.host === null) return;
  await operations.start(t, deps.operations.deleteVolume, {
    input: { volumeId: id, cascade: snapshots.length > 0 },
    resourceId: id,
    projectId: volume.project_id,
    userId: volume.user_id,
    requestId,
  });
}

/**
 * Whoever takes over a volume ends what is under way for it, except for the cleaning of other places. Moves end so that one copy
 * stays: see `endMoves`. Throws 400 while one is just arriving.
 */
export async function abandonWork(t: Tx, deps: Tools, volumeId: string): Promise<void> {
  for (const live of await liveOperations(t, volumeId))
    if (live.name !== REMOVE_LEFTOVER && !MOVES.includes(live.name)) await deps.kernel.operations.abandon(t, live.id);
  await endMoves(t, deps, volumeId);
}

/** Holds the backend's state until the transaction ends. Throws 400 while it is frozen. */
export async function mustNotBeFrozen(t: Tx, volume: VolumeRow): Promise<void> {
  const scope = scopeOf(volume);
  const held = scope === null ? null : await lockScope(t, scope);
  if (held && stateOfScope(held).frozen === 1) throw invalidVolume(`The backend of volume ${volume.id} is frozen.`);
}
