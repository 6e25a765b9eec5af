import { blockStorageVerbs, type VolumeSource } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError, publicFault } from "../../../kernel/errors/cloud-error.ts";
import {
  type EffectContext,
  type Json,
  type Operation,
  operation,
  Redo,
} from "../../../kernel/operations/definition.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { selectPool } from "../scheduler/select-pool.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { findSnapshot } from "../store/snapshots.ts";
import type { VolumeRow } from "../store/tables.ts";
import { typeById, typeNotFound, wantsReplication } from "../store/volume-types.ts";
import { evenDeletedVolume, getVolume, transition } from "../store/volumes.ts";
import type { RemoveLeftoverInput } from "./remove-leftover.ts";
import { scopeOf, targetOf, targetOfPool, type VolumeTools } from "./volume-calls.ts";

export interface CreateVolumeInput {
  readonly volumeId: string;
}

/** Places and makes a volume. A backend that fails is cleaned up and another one tried, as often as the scheduler may. */
export function createVolumeOperation(
  deps: VolumeTools,
  removeLeftover: Operation<RemoveLeftoverInput>,
): Operation<CreateVolumeInput> {
  const { clock, operations } = deps.kernel;
  return operation<CreateVolumeInput>("volume.create", { resource: "volume", deadlineMs: minutes(60) })
    .step("schedule", {
      tx: async (t, { input, memo }) => {
        const volume = await getVolume(t, input.volumeId);
        const type = await typeById(t, volume.type_id);
        if (!type) throw typeNotFound(volume.type_id);
        const pool = await selectPool(t, deps, {
          sizeGiB: volume.size_gib,
          zone: volume.zone,
          type,
          exclude: triedScopes(memo),
          only: await scopeOfSource(t, volume),
        });
        const replicated = wantsReplication(type);
        await transition(t, {
          clock,
          id: volume.id,
          from: ["creating"],
          to: {
            set: {
              host: pool.host,
              cluster_name: pool.cluster,
              service_uuid: pool.serviceId,
              replication_status: replicated ? "enabled" : "disabled",
            },
          },
          action: "create",
        });
        return { scope: pool.scope, target: targetOfPool(pool), replicated };
      },
      undoTx: async (t, { input, operation: op }) => {
        const volume = await getVolume(t, input.volumeId);
        const [scope, target] = [scopeOf(volume), targetOf(volume)];
        if (scope === null || target === null) return;
        const set = { host: null, cluster_name: null, service_uuid: null, replication_status: null };
        await transition(t, { clock, id: volume.id, from: null, to: { set }, action: "create" });
        await operations.start(t, removeLeftover, {
          input: { volumeId: volume.id, scope, target },
          resourceId: volume.id,
          projectId: volume.project_id,
          requestId: op.requestId,
        });
      },
      span: [0, 5],
    })
    .step("make", {
      // One try per backend: the next try is on another one.
      maxAttempts: 1,
      effect: async (a, { input, out, memo }) => {
        const { scope, target, replicated } = out.schedule;
        const { volumeId } = input;
        const volume = await getVolume(a.read, volumeId);
        const spec = { volumeId, sizeGiB: volume.size_gib, source: await sourceOf(a, deps, volume), replicated };
        const bound = volume.snapshot_id !== null || volume.source_volume_id !== null;
        try {
          await a.call(
            blockStorageVerbs,
            "volume.ensure",
            { backend: target.backend, spec },
            { to: target.to, timeoutMs: MAKE_TIMEOUT_MS, onProgress: (percent) => a.progress(percent) },
          );
        } catch (error) {
          const tried = [...triedScopes(memo), scope];
          if (bound || tried.length >= deps.settings.schedulerMaxAttempts || !isAboutTheBackend(error)) throw error;
          throw new Redo("schedule", { tried }, publicFault(error));
        }
      },
      // What undoing `schedule` starts takes away what is there.
      undo: async () => {},
      span: [5, 99],
    })
    .step("publish", {
      tx: async (t, { input }) => {
        const { image_id: image, bootable } = await getVolume(t, input.volumeId);
        const set = { launched_at: clock.now(), bootable: image === null ? bootable : 1 };
        const to = { status: "available" as const, set };
        await transition(t, { clock, id: input.volumeId, from: ["creating"], to, action: "create" });
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      const { volumeId: id } = input;
      const volume = await transition(t, {
        clock,
        id,
        from: ["creating"],
        to: { status: "error" },
        action: "create",
      });
      const detail = detailOf(fault.code);
      await insertMessage(t, deps.kernel, {
        projectId: volume.project_id,
        requestId: op.requestId,
        resource: "VOLUME",
        resourceId: id,
        action: detail === "noBackend" ? "schedule" : "create",
        detail,
      });
    });
}

/** Copying an image or a large volume takes long; an agent that is away is noticed by its silence, not by this. */
const MAKE_TIMEOUT_MS = minutes(60);

function triedScopes(memo: Readonly<Record<string, Json>>): string[] {
  return Array.isArray(memo.tried) ? (memo.tried as string[]) : [];
}

const BACKEND_CODES = ["storage.frozen", "storage.failed_over", "storage.no_backend"];

function isAboutTheBackend(error: unknown): boolean {
  if (!(error instanceof CloudError)) return false;
  return error.kind === "noCapacity" || error.kind === "unavailable" || BACKEND_CODES.includes(error.code);
}

/** Snapshots and volumes are copied inside their own backend. */
async function scopeOfSource(q: Queries, volume: VolumeRow): Promise<string | null> {
  const snapshot = volume.snapshot_id === null ? undefined : await findSnapshot(q, volume.snapshot_id);
  const sourceId = volume.source_volume_id ?? snapshot?.volume_id;
  if (sourceId === undefined) {
    if (volume.snapshot_id !== null) throw sourceGone();
    return null;
  }
  const source = await evenDeletedVolume(q, sourceId);
  const scope = source && scopeOf(source);
  if (!scope) throw sourceGone();
  return scope;
}

async function sourceOf(a: EffectContext, deps: VolumeTools, volume: VolumeRow): Promise<VolumeSource> {
  if (volume.snapshot_id !== null) return { kind: "snapshot", snapshotId: volume.snapshot_id };
  if (volume.source_volume_id !== null) return { kind: "volume", volumeId: volume.source_volume_id };
  if (volume.image_id === null) return { kind: "empty" };
  const image = await deps.images.imageSource(a.read, volume.image_id);
  if (!image) throw sourceGone();
  return { kind: "image", image };
}

function sourceGone(): CloudError {
  return new CloudError("conflict", "block-storage.source_gone", "What the volume was to be made from is gone.");
}
