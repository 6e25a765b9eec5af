import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { typeById, typeNotFound, wantsReplication } from "../store/volume-types.ts";
import { findVolume, getVolume, transition } from "../store/volumes.ts";
import { answerWith, requiredTarget, type VolumeTools } from "./volume-calls.ts";

export interface ManageVolumeInput {
  readonly volumeId: string;
  /** Name of the data on the array. */
  readonly reference: string;
}

/**
 * Makes data that is on an array already a volume. Whoever starts it has written the volume's place and set its status to
 * `managing`; it counts for the quota once its size is known. From the adoption on it only goes forward: what was adopted
 * keeps no name under which it could be given back. A failure leaves the data alone, and the volume in `error_managing`.
 */
export function manageVolumeOperation(deps: VolumeTools): Operation<ManageVolumeInput> {
  const { clock } = deps.kernel;
  return operation<ManageVolumeInput>("volume.manage", { resource: "volume", deadlineMs: minutes(15) })
    .step("measure", {
      effect: async (a, { input }) => {
        const { backend, to } = requiredTarget(await getVolume(a.read, input.volumeId));
        const { found } = await a.call(blockStorageVerbs, "volume.listManageable", { backend }, { to });
        const data = found.find(({ reference }) => reference === input.reference);
        if (!data) throw unmanageable("The array has nothing of this name.");
        if (!data.safeToManage) throw unmanageable(`The data cannot be managed: ${data.reasonNotSafe}.`);
        return { sizeGiB: Math.max(1, data.sizeGiB) };
      },
      span: [0, 20],
    })
    .step("count", {
      tx: async (t, { input, out }) => {
        const { sizeGiB } = out.measure;
        const volume = await getVolume(t, input.volumeId);
        const { name } = await typeOf(t, volume.type_id);
        await reserveQuota(t, volume.project_id, demandOf("volumes", name, sizeGiB));
        const to = { set: { size_gib: sizeGiB, consumes_quota: 1 } };
        await transition(t, { clock, id: volume.id, from: ["managing"], to, action: "manage" });
      },
      undoTx: async (t, { input }) => {
        if (await findVolume(t, input.volumeId)) await forget(t, input.volumeId);
      },
    })
    .pivot()
    .step("adopt", {
      effect: async (a, { input }) => {
        const { volumeId, reference } = input;
        const volume = await getVolume(a.read, volumeId);
        const { backend, to } = requiredTarget(volume);
        const replicated = wantsReplication(await typeOf(a.read, volume.type_id));
        const adopted = { backend, volumeId, reference, replicated };
        return await answerWith(
          a,
          a.call(blockStorageVerbs, "volume.adopt", adopted, { to, timeoutMs: ADOPT_TIMEOUT_MS }),
          ({ sizeBytes }) => ({ sizeGiB: sizeBytes / GIB }),
        );
      },
      span: [20, 95],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId: id } = input;
        const { adopt } = out;
        if (!adopt.ok) return await fail(t, id, adopt.fault.code, op.requestId);
        const set = { size_gib: adopt.value.sizeGiB, launched_at: clock.now() };
        const to = { status: "available" as const, set };
        await transition(t, { clock, id, from: ["managing"], to, action: "manage" });
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      if (await findVolume(t, input.volumeId)) await fail(t, input.volumeId, fault.code, op.requestId);
    });

  async function forget(t: Tx, id: string): Promise<void> {
    const to = { set: { size_gib: 0, consumes_quota: 0 } };
    await transition(t, { clock, id, from: null, to, action: "manage" });
  }

  async function fail(t: Tx, id: string, code: string, requestId: string | null): Promise<void> {
    const to = { status: "error_managing" as const, set: { size_gib: 0, consumes_quota: 0 } };
    const volume = await transition(t, { clock, id, from: null, to, action: "manage" });
    await insertMessage(t, deps.kernel, {
      projectId: volume.project_id,
      requestId,
      resource: "VOLUME",
      resourceId: id,
      action: "manage",
      detail: detailOf(code),
    });
  }
}

const GIB = 1024 ** 3;
/** Data that is to be replicated is copied first. */
const ADOPT_TIMEOUT_MS = minutes(60);

async function typeOf(q: Parameters<typeof typeById>[0], id: string) {
  const type = await typeById(q, id);
  if (type) return type;
  throw typeNotFound(id);
}

function unmanageable(text: string): CloudError {
  return new CloudError("conflict", "block-storage.not_manageable", text);
}
