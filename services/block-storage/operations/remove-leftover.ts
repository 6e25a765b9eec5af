import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes, seconds } from "../../../kernel/clock/clock.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { VolumeRow } from "../store/tables.ts";
import { findVolume } from "../store/volumes.ts";
import { answerOf, requiredTarget, scopeOf, type VolumeTarget, type VolumeTools } from "./volume-calls.ts";

export interface RemoveLeftoverInput {
  readonly volumeId: string;
  /** `cluster@backend` or `node@backend` that may hold something of it. */
  readonly scope: string;
  readonly target: VolumeTarget;
  /** Nobody knows yet whether the place that counts has the volume: nothing is taken away before. */
  readonly afterArrival?: boolean;
}

export const REMOVE_LEFTOVER = "volume.remove_leftover";

/** How long a backend that refuses is left alone. */
const RECHECK_MS = seconds(60);

/** Takes away what a try to make a volume may have left on a backend; waits for one that is down. */
export function removeLeftoverOperation({ kernel }: Pick<VolumeTools, "kernel">): Operation<RemoveLeftoverInput> {
  return operation<RemoveLeftoverInput>(REMOVE_LEFTOVER, { resource: "volume", deadlineMs: minutes(60) })
    .pivot()
    .step("remove", {
      effect: async (a, { input }) => {
        const { volumeId, scope, target } = input;
        const volume = await findVolume(a.read, volumeId);
        // It has come to live there after all.
        if (volume && scopeOf(volume) === scope) return null;
        const again = { untilMs: kernel.clock.now() + RECHECK_MS };
        if (volume && input.afterArrival === true && !(await isThere(a, volume))) return a.wait(again);
        const { backend, to } = target;
        const gone = a.call(blockStorageVerbs, "volume.ensureAbsent", { backend, volumeId }, { to });
        return (await answerOf(a, gone)).ok ? null : a.wait(again);
      },
    })
    .build();
}

async function isThere(a: EffectContext, volume: VolumeRow): Promise<boolean> {
  const { backend, to } = requiredTarget(volume);
  const facts = await a.call(
    blockStorageVerbs,
    "volume.inspect",
    { backend, volumeId: volume.id },
    { to, extra: "place" },
  );
  return facts.volume !== null;
}
