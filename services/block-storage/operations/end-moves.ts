import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import { outputOfStep } from "../../../kernel/operations/queries.ts";
import type { OperationRow } from "../../../kernel/operations/tables.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { invalidVolume, isMigrating } from "../domain/can-volume.ts";
import { findVolume } from "../store/volumes.ts";
import type { DisconnectVolumeInput } from "./disconnect-volume.ts";
import type { RemoveLeftoverInput } from "./remove-leftover.ts";
import type { VolumeTools } from "./volume-calls.ts";
import { endMove, MIGRATE_VOLUME, MOVES, type Move } from "./volume-move.ts";

interface Tools extends Pick<VolumeTools, "kernel"> {
  readonly operations: {
    readonly removeLeftover: Operation<RemoveLeftoverInput>;
    readonly disconnectVolume: Operation<DisconnectVolumeInput>;
  };
}

/**
 * Ends what moves a volume that somebody takes over. It is undone; past its pivot it is given up when the destination has failed
 * to take the volume. Throws 400 for one that is just arriving.
 */
export async function endMoves(t: Tx, deps: Tools, volumeId: string): Promise<void> {
  const { operations } = deps.kernel;
  for (const live of await liveOperations(t, volumeId)) {
    if (!MOVES.includes(live.name)) continue;
    if (live.cancellable === 1) await operations.cancel(t, live.id);
    else if (live.attempts > 0) await giveUp(t, deps, volumeId, live);
    else throw invalidVolume(`Volume ${volumeId} is arriving at another backend.`);
  }
}

/**
 * The destination's copy counts. When it is there, it is served or not as the volume's attachments want, which makes it a volume
 * like others; and the source's is taken away.
 */
async function giveUp(t: Tx, deps: Tools, volumeId: string, live: OperationRow): Promise<void> {
  const { operations } = deps.kernel;
  const move = await moveOf(t, live);
  await operations.abandon(t, live.id);
  const volume = await findVolume(t, volumeId);
  await endMove(t, deps, volumeId, volume && isMigrating(volume) ? { migration_status: "error" } : {});
  if (!move) return;
  const about = { resourceId: volumeId, projectId: live.project_id, requestId: live.request_id };
  const nobody = { volumeId, attachmentIds: [], removes: false, force: false };
  await operations.start(t, deps.operations.disconnectVolume, { ...about, input: nobody });
  const left = { volumeId, ...move.from, afterArrival: true };
  await operations.start(t, deps.operations.removeLeftover, { ...about, input: left });
}

/** Null for a retype that leaves the data where it is. */
async function moveOf(q: Queries, { id, name }: OperationRow): Promise<Move | null> {
  const decided = await outputOfStep(q, id, "schedule");
  return name === MIGRATE_VOLUME ? (decided as Move) : (decided as { readonly move: Move | null }).move;
}
