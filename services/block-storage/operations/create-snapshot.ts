import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { getSnapshot, transitionSnapshot } from "../store/snapshots.ts";
import { getVolume } from "../store/volumes.ts";
import { answerOf, type Outcome, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface CreateSnapshotInput {
  readonly snapshotId: string;
}

/**
 * Takes a snapshot. Only goes forward: a backend that is away takes it when it returns, one that refuses leaves the snapshot in
 * `error`, from where it can be deleted.
 */
export function createSnapshotOperation(deps: VolumeTools): Operation<CreateSnapshotInput> {
  const { clock } = deps.kernel;
  return operation<CreateSnapshotInput>("snapshot.create", { resource: "snapshot", deadlineMs: minutes(30) })
    .pivot()
    .step("take", {
      effect: async (a, { input }): Promise<Outcome> => {
        const { snapshotId } = input;
        const { volume_id: volumeId } = await getSnapshot(a.read, snapshotId);
        const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
        const timeoutMs = minutes(30);
        return await answerOf(
          a,
          a.call(blockStorageVerbs, "snapshot.ensure", { backend, snapshotId, volumeId }, { to, timeoutMs }),
        );
      },
      span: [0, 95],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: op }) => {
        const outcome = out.take;
        const to = outcome.ok
          ? { status: "available" as const, set: { progress: "100%" } }
          : { status: "error" as const };
        const { snapshotId: id } = input;
        const snapshot = await transitionSnapshot(t, { clock, id, from: ["creating"], to, action: "create" });
        if (outcome.ok) return;
        await insertMessage(t, deps.kernel, {
          projectId: snapshot.project_id,
          requestId: op.requestId,
          resource: "VOLUME_SNAPSHOT",
          resourceId: id,
          action: "snapshotCreate",
          detail: detailOf(outcome.fault.code),
        });
      },
    })
    .build();
}
