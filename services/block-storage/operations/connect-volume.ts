import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { AttachMode } from "../domain/can-attach.ts";
import { connected, letGo } from "../store/attaching.ts";
import { getVolume, transition } from "../store/volumes.ts";
import { connectionOf, connectionSlot, endServing, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface ConnectVolumeInput {
  readonly volumeId: string;
  /** Null in the older flow, which has no attachment before the disk is there. */
  readonly attachmentId: string | null;
  readonly host: string | null;
  readonly mountpoint: string | null;
  readonly mode: AttachMode | null;
  readonly connector: Readonly<Record<string, unknown>> | null;
  /** The attachment was made by the request that this works for: it goes when there will be no connection. */
  readonly releases: boolean;
}

/** Serves a volume to a client that attaches it by itself. Its first step's output holds the connection. */
export function connectVolumeOperation(deps: VolumeTools): Operation<ConnectVolumeInput> {
  const { clock } = deps.kernel;
  return operation<ConnectVolumeInput>("volume.connect", { resource: "volume", deadlineMs: minutes(5) })
    .step("serve", {
      slot: ({ input }) => connectionSlot(input.volumeId),
      effect: async (a, { input }) => {
        const { volumeId } = input;
        const { backend, to } = requiredTarget(await getVolume(a.read, volumeId));
        const facts = await a.call(blockStorageVerbs, "volume.ensureExported", { backend, volumeId }, { to });
        return { connection: connectionOf(facts) };
      },
      undo: async (a, { input }) => {
        const { volumeId, attachmentId } = input;
        // A backend that refuses this too has nothing that it could serve.
        await endServing(a, volumeId, attachmentId === null ? [] : [attachmentId]);
      },
      span: [0, 95],
    })
    .step("publish", {
      tx: async (t, { input, out }) => {
        const { volumeId: id, attachmentId, host, mountpoint, mode, connector } = input;
        if (attachmentId === null) {
          // The request has looked before this began: somebody may have let go of the volume since.
          await transition(t, { clock, id, from: ["attaching", "in-use"], to: {}, action: "initialize_connection" });
          return;
        }
        const { connection } = out.serve;
        await connected(t, deps.kernel, { attachmentId, host, mountpoint, mode, connector, connection });
      },
    })
    .onFailed(async (t, { input }) => {
      if (input.releases && input.attachmentId !== null) await letGo(t, deps.kernel, input.attachmentId);
    });
}
