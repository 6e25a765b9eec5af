import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { letGo, lockedVolume, settleAfterDetach } from "../store/attaching.ts";
import { findAttachment, transitionAttachment } from "../store/attachments.ts";
import { findVolume } from "../store/volumes.ts";
import { connectionSlot, endServing, type Outcome, type VolumeTools } from "./volume-calls.ts";

export interface DisconnectVolumeInput {
  readonly volumeId: string;
  /** The volume is no longer served to these. */
  readonly attachmentIds: readonly string[];
  /** The attachments go, and the volume's status says so; otherwise only its connection ends. */
  readonly removes: boolean;
  /** An administrator's: the volume is what its attachments say, also when it had been put in error. */
  readonly force: boolean;
}

/**
 * Stops serving a volume to clients that had attached it by themselves. Only goes forward: a backend that is away does it when it
 * returns; one that refuses leaves the volume attached.
 */
export function disconnectVolumeOperation(deps: VolumeTools): Operation<DisconnectVolumeInput> {
  const { clock } = deps.kernel;
  return operation<DisconnectVolumeInput>("volume.disconnect", { resource: "volume", deadlineMs: minutes(15) })
    .pivot()
    .step("stop-serving", {
      slot: ({ input }) => connectionSlot(input.volumeId),
      effect: async (a, { input }): Promise<Outcome> => {
        const outcome = await endServing(a, input.volumeId, input.attachmentIds);
        return !outcome.ok && outcome.fault.code === "storage.volume_not_found" ? { ok: true } : outcome;
      },
      span: [0, 95],
    })
    .step("finish", {
      tx: async (t, { input, out }) => {
        const { volumeId, attachmentIds, removes, force } = input;
        if (!removes || !(await findVolume(t, volumeId))) return;
        const { ok } = out["stop-serving"];
        if (ok) for (const id of attachmentIds) await letGo(t, deps.kernel, id);
        else await keep(t, attachmentIds);
        if (ok || attachmentIds.length > 0)
          await settleAfterDetach(t, clock, await lockedVolume(t, volumeId), { force: force && ok });
      },
    })
    .build();

  async function keep(t: Tx, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const row = await findAttachment(t, id);
      const attach_status = row?.attached_at === null ? ("attaching" as const) : ("attached" as const);
      if (row?.attach_status === "detaching") await transitionAttachment(t, clock, id, { attach_status });
    }
  }
}
