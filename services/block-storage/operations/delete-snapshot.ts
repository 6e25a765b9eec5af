import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { insertMessage } from "../store/messages.ts";
import { getSnapshot, transitionSnapshot } from "../store/snapshots.ts";
import { getVolume } from "../store/volumes.ts";
import { answerOf, type Outcome, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface DeleteSnapshotInput {
  readonly snapshotId: string;
}

/** Removes a snapshot that is `deleting`. Only goes forward; a backend that refuses leaves it in `error_deleting`. */
export function deleteSnapshotOperation(deps: VolumeTools): Operation<DeleteSnapshotInput> {
  const { clock } = deps.kernel;
  return operation<DeleteSnapshotInput>("snapshot.delete", {
    resource: "snapshot",
    deadlineMs: minutes(15),
    priority: () => 10,
  })
    .pivot()
    .step("remove", {
      effect: async (a, { input }): Promise<Outcome> => {
        const { snapshotId } = input;
        const { volume_id: volumeId } = await getSnapshot(a.read, snapshotId);
        const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
        return await answerOf(a.call(blockStorageVerbs, "snapshot.ensureAbsent", { backend, snapshotId }, { to }));
      },
      span: [0, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        const { snapshotId: id } = input;
        const to = out.remove.ok
          ? { status: "deleted" as const, set: { deleted_at: clock.now() } }
          : { status: "error_deleting" as const };
        const snapshot = await transitionSnapshot(t, { clock, id, from: null, to, action: "delete" });
        if (out.remove.ok) return;
        await insertMessage(t, deps.kernel, {
          projectId: snapshot.project_id,
          requestId: op.requestId,
          resource: "VOLUME_SNAPSHOT",
          resourceId: id,
          action: "snapshotDelete",
          detail: "unknown",
        });
      },
    })
    .build();
}
