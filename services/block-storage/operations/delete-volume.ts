import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { detachAll } from "../store/attachments.ts";
import { insertMessage } from "../store/messages.ts";
import { snapshotsOf, transitionSnapshot } from "../store/snapshots.ts";
import { getVolume, transition } from "../store/volumes.ts";
import { answerOf, type Outcome, targetOf, type VolumeTools } from "./volume-calls.ts";

export interface DeleteVolumeInput {
  readonly volumeId: string;
  /** With its snapshots; otherwise there are none. */
  readonly cascade: boolean;
}

/**
 * Removes a volume. Whoever starts it has abandoned the volume's other operations and set its status to `deleting`. Only goes
 * forward: a backend that is down removes it when it returns; one that refuses leaves it in `error_deleting`.
 */
export function deleteVolumeOperation(deps: VolumeTools): Operation<DeleteVolumeInput> {
  const { clock } = deps.kernel;
  return operation<DeleteVolumeInput>("volume.delete", {
    resource: "volume",
    deadlineMs: minutes(15),
    priority: () => 10,
  })
    .pivot()
    .step("remove-snapshots", {
      when: ({ input }) => input.cascade,
      effect: async (a, { input }): Promise<Outcome> => {
        const volume = await getVolume(a.read, input.volumeId);
        const target = targetOf(volume);
        if (target === null) return { ok: true };
        const { backend, to } = target;
        for (const { id: snapshotId } of await snapshotsOf(a.read, volume.id)) {
          const outcome = await answerOf(
            a.call(blockStorageVerbs, "snapshot.ensureAbsent", { backend, snapshotId }, { to, extra: snapshotId }),
          );
          if (!outcome.ok) return outcome;
        }
        return { ok: true };
      },
      span: [0, 50],
    })
    .step("remove", {
      when: ({ out }) => out["remove-snapshots"]?.ok !== false,
      effect: async (a, { input }): Promise<Outcome> => {
        const { volumeId } = input;
        const target = targetOf(await getVolume(a.read, volumeId));
        if (target === null) return { ok: true };
        const { backend, to } = target;
        return await answerOf(a.call(blockStorageVerbs, "volume.ensureAbsent", { backend, volumeId }, { to }));
      },
      span: [50, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId: id } = input;
        const snapshots = input.cascade ? await snapshotsOf(t, id) : [];
        const refused = out.remove?.ok !== true;
        for (const snapshot of snapshots) {
          const to = refused
            ? { status: "error_deleting" as const }
            : { status: "deleted" as const, set: { deleted_at: clock.now() } };
          await transitionSnapshot(t, { clock, id: snapshot.id, from: null, to, action: "delete" });
        }
        if (!refused) {
          const to = { set: { deleted_at: clock.now() } };
          await transition(t, { clock, id, from: null, to, action: "delete" });
          // Forced, it may have been kept for somebody.
          await detachAll(t, id);
          return;
        }
        const to = { status: "error_deleting" as const };
        const volume = await transition(t, { clock, id, from: null, to, action: "delete" });
        await insertMessage(t, deps.kernel, {
          projectId: volume.project_id,
          requestId: op.requestId,
          resource: "VOLUME",
          resourceId: id,
          action: "delete",
          detail: "unknown",
        });
      },
    })
    .build();
}
