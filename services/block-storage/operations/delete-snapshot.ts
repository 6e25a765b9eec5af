import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { insertMessage, type MessageDetail } from "../store/messages.ts";
import { getSnapshot, transitionSnapshot } from "../store/snapshots.ts";
import type { SnapshotRow } from "../store/tables.ts";
import { getVolume } from "../store/volumes.ts";
import {
  answerOf,
  answerUnlessWaiting,
  type Outcome,
  requiredTarget,
  type VolumeTools,
  waitsForArray,
} from "./volume-calls.ts";

export interface DeleteSnapshotInput {
  readonly snapshotId: string;
}

/** Removes a snapshot that is `deleting`. Only goes forward; a backend that refuses leaves it in `error_deleting`. */
export function deleteSnapshotOperation(deps: VolumeTools): Operation<DeleteSnapshotInput> {
  const { clock } = deps.kernel;
  const remove = async (a: EffectContext, { snapshotId }: DeleteSnapshotInput): Promise<Outcome> => {
    const { volume_id: volumeId } = await getSnapshot(a.read, snapshotId);
    const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
    return await answerOf(a, a.call(blockStorageVerbs, "snapshot.ensureAbsent", { backend, snapshotId }, { to }));
  };
  const tell = async (t: Tx, snapshot: SnapshotRow, requestId: string | null, detail: MessageDetail) => {
    await insertMessage(t, deps.kernel, {
      projectId: snapshot.project_id,
      requestId,
      resource: "VOLUME_SNAPSHOT",
      resourceId: snapshot.id,
      action: "snapshotDelete",
      detail,
    });
  };
  return operation<DeleteSnapshotInput>("snapshot.delete", {
    resource: "snapshot",
    deadlineMs: minutes(15),
    priority: () => 10,
  })
    .pivot()
    .step("remove", {
      effect: async (a, { input }) => answerUnlessWaiting(remove(a, input)),
      span: [0, 50],
    })
    .step("tell", {
      when: ({ out }) => waitsForArray(out.remove),
      tx: async (t, { input, operation: { requestId } }) =>
        await tell(t, await getSnapshot(t, input.snapshotId), requestId, "copyAway"),
    })
    .step("wait", {
      when: ({ out }) => waitsForArray(out.remove),
      effect: async (a, { input }) => remove(a, input),
      span: [50, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        const { snapshotId: id } = input;
        const { ok } = out.wait ?? out.remove;
        const to = ok
          ? { status: "deleted" as const, set: { deleted_at: clock.now() } }
          : { status: "error_deleting" as const };
        const snapshot = await transitionSnapshot(t, { clock, id, from: null, to, action: "delete" });
        if (!ok) await tell(t, snapshot, op.requestId, "unknown");
      },
    })
    .build();
}
