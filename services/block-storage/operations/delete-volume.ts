import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { detachAll } from "../store/attachments.ts";
import { insertMessage, type MessageDetail } from "../store/messages.ts";
import { snapshotsOf, transitionSnapshot } from "../store/snapshots.ts";
import type { VolumeRow } from "../store/tables.ts";
import { getVolume, transition } from "../store/volumes.ts";
import {
  answerOf,
  answerUnlessWaiting,
  type Outcome,
  targetOf,
  type VolumeTools,
  waitsForArray,
} from "./volume-calls.ts";

export interface DeleteVolumeInput {
  readonly volumeId: string;
  /** With its snapshots; otherwise there are none. */
  readonly cascade: boolean;
}

/**
 * Removes a volume. Whoever starts it has abandoned the volume's other operations and set its status to `deleting`. Only goes
 * forward: a backend that is down, or cannot reach one of its arrays, removes it when that is back; one that refuses leaves it in
 * `error_deleting`.
 */
export function deleteVolumeOperation(deps: VolumeTools): Operation<DeleteVolumeInput> {
  const { clock } = deps.kernel;
  const waits = ({ out }: { readonly out: Tried }) =>
    waitsForArray(out["remove-snapshots"]) || waitsForArray(out.remove);
  return operation<DeleteVolumeInput>("volume.delete", {
    resource: "volume",
    deadlineMs: minutes(15),
    priority: () => 10,
  })
    .pivot()
    .step("remove-snapshots", {
      when: ({ input }) => input.cascade,
      effect: async (a, { input }) => answerUnlessWaiting(removeSnapshots(a, input.volumeId)),
      span: [0, 30],
    })
    .step("remove", {
      when: ({ out }) => out["remove-snapshots"]?.ok !== false,
      effect: async (a, { input }) => answerUnlessWaiting(remove(a, input.volumeId)),
      span: [30, 50],
    })
    .step("tell", {
      when: waits,
      tx: async (t, { input, operation: { requestId } }) =>
        await tell(t, await getVolume(t, input.volumeId), requestId, "copyAway"),
    })
    .step("wait", {
      when: waits,
      effect: async (a, { input: { cascade, volumeId } }) => {
        const before: Outcome = cascade ? await removeSnapshots(a, volumeId) : { ok: true };
        return before.ok ? await remove(a, volumeId) : before;
      },
      span: [50, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId: id } = input;
        const snapshots = input.cascade ? await snapshotsOf(t, id) : [];
        const refused = (out.wait ?? out.remove)?.ok !== true;
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
        await tell(t, volume, op.requestId, "unknown");
      },
    })
    .build();

  async function tell(t: Tx, volume: VolumeRow, requestId: string | null, detail: MessageDetail): Promise<void> {
    await insertMessage(t, deps.kernel, {
      projectId: volume.project_id,
      requestId,
      resource: "VOLUME",
      resourceId: volume.id,
      action: "delete",
      detail,
    });
  }
}

interface Tried {
  readonly "remove-snapshots": Outcome | undefined;
  readonly remove: Outcome | undefined;
}

async function removeSnapshots(a: EffectContext, volumeId: string): Promise<Outcome> {
  const target = targetOf(await getVolume(a.read, volumeId));
  if (target === null) return { ok: true };
  const { backend, to } = target;
  for (const { id: snapshotId } of await snapshotsOf(a.read, volumeId)) {
    const outcome = await answerOf(
      a,
      a.call(blockStorageVerbs, "snapshot.ensureAbsent", { backend, snapshotId }, { to, extra: snapshotId }),
    );
    if (!outcome.ok) return outcome;
  }
  return { ok: true };
}

async function remove(a: EffectContext, volumeId: string): Promise<Outcome> {
  const target = targetOf(await getVolume(a.read, volumeId));
  if (target === null) return { ok: true };
  const { backend, to } = target;
  return await answerOf(a, a.call(blockStorageVerbs, "volume.ensureAbsent", { backend, volumeId }, { to }));
}
