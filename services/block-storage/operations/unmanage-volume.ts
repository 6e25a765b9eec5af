import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { getVolume, transition } from "../store/volumes.ts";
import { answerOf, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface UnmanageVolumeInput {
  readonly volumeId: string;
}

/**
 * Lets a volume go; its data stays on the array and can be managed again. Whoever starts it has set its status to
 * `unmanaging`. Only goes forward; a backend that refuses leaves the volume as it was.
 */
export function unmanageVolumeOperation(deps: VolumeTools): Operation<UnmanageVolumeInput> {
  const { clock } = deps.kernel;
  return operation<UnmanageVolumeInput>("volume.unmanage", { resource: "volume", deadlineMs: minutes(15) })
    .pivot()
    .step("release", {
      effect: async (a, { input }) => {
        const { volumeId } = input;
        const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
        return await answerOf(a, a.call(blockStorageVerbs, "volume.release", { backend, volumeId }, { to }));
      },
      span: [0, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId: id } = input;
        if (out.release.ok) {
          const to = { set: { deleted_at: clock.now() } };
          await transition(t, { clock, id, from: null, to, action: "unmanage" });
          return;
        }
        const { previous_status: before } = await getVolume(t, id);
        const to = { status: before ?? ("error" as const) };
        const volume = await transition(t, { clock, id, from: ["unmanaging"], to, action: "unmanage" });
        await insertMessage(t, deps.kernel, {
          projectId: volume.project_id,
          requestId: op.requestId,
          resource: "VOLUME",
          resourceId: id,
          action: "unmanage",
          detail: detailOf(out.release.fault.code),
        });
      },
    })
    .build();
}
