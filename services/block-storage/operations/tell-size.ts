import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { attachmentsOf } from "../store/attachments.ts";
import { findVolume } from "../store/volumes.ts";

export interface TellSizeInput {
  readonly volumeId: string;
}

const GIB = 1024 ** 3;

/**
 * Lets the running guest that has the volume see how large it is by now. Started when it has grown. A host that is away is told when it
 * is back, or the one where the server runs by then; a guest that starts later looks by itself.
 */
export function tellSizeOperation(): Operation<TellSizeInput> {
  return operation<TellSizeInput>("volume.tell_size", { resource: "volume", deadlineMs: minutes(10) })
    .pivot()
    .step("tell", {
      effect: async (a, { input: { volumeId } }) => {
        const volume = await findVolume(a.read, volumeId);
        if (!volume) return;
        const sizeBytes = volume.size_gib * GIB;
        for (const row of await attachmentsOf(a.read, volumeId)) {
          const { server_id: serverId, attached_host: host } = row;
          // Others who have it look by themselves.
          if (row.held_by_compute === 0 || serverId === null || host === null) continue;
          const told = { to: { host }, extra: `${serverId}/${host}` };
          await a
            .call(computeVerbs, "compute.ensureVolumeSize", { serverId, volumeId, sizeBytes }, told)
            .catch(ifRefused);
        }
      },
    })
    .build();
}

/** A guest that is not there, or arriving elsewhere, opens the volume anew and looks. */
function ifRefused(error: unknown): void {
  if (!(error instanceof CloudError) || error.kind === "unavailable") throw error;
}
