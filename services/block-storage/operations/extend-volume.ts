import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { getVolume, transition } from "../store/volumes.ts";
import type { TellSizeInput } from "./tell-size.ts";
import { answerOf, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface ExtendVolumeInput {
  readonly volumeId: string;
  readonly sizeGiB: number;
  /** What it adds to the project's usage, by resource: counted while it is under way. */
  readonly growth: Readonly<Record<string, number>>;
}

/**
 * Makes a volume larger, in use or not; nothing can make it smaller again, so it only goes forward. No room leaves it as it was. A
 * guest that has it is told afterwards, which does not hold up the volume.
 */
export function extendVolumeOperation(
  deps: VolumeTools,
  tellSize: Operation<TellSizeInput>,
): Operation<ExtendVolumeInput> {
  const { clock, operations } = deps.kernel;
  return operation<ExtendVolumeInput>("volume.extend", { resource: "volume", deadlineMs: minutes(10) })
    .pivot()
    .step("grow", {
      effect: async (a, { input }) => {
        const { volumeId, sizeGiB } = input;
        const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
        return await answerOf(
          a,
          a.call(blockStorageVerbs, "volume.ensureSize", { backend, volumeId, sizeGiB }, { to }),
        );
      },
      span: [0, 95],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId: id, sizeGiB } = input;
        const outcome = out.grow;
        const untouched = !outcome.ok && outcome.fault.code === "storage.no_space";
        const { previous_status: before } = await getVolume(t, id);
        const status = outcome.ok || untouched ? (before ?? ("available" as const)) : ("error_extending" as const);
        const to = { status, set: outcome.ok ? { size_gib: sizeGiB } : {} };
        const volume = await transition(t, { clock, id, from: ["extending"], to, action: "extend" });
        if (outcome.ok) {
          if (status !== "in-use") return;
          const started = { input: { volumeId: id }, resourceId: id, projectId: volume.project_id };
          await operations.start(t, tellSize, { ...started, requestId: op.requestId });
          return;
        }
        await insertMessage(t, deps.kernel, {
          projectId: volume.project_id,
          requestId: op.requestId,
          resource: "VOLUME",
          resourceId: id,
          action: "extend",
          detail: detailOf(outcome.fault.code),
        });
      },
    })
    .build();
}
