import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { type NamedPlace, namedPool } from "../scheduler/named-pool.ts";
import { holdPool } from "../scheduler/pools.ts";
import { poolTakes } from "../scheduler/select-pool.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { typeById, typeNotFound, wantsReplication } from "../store/volume-types.ts";
import { findVolume, getVolume, transition } from "../store/volumes.ts";
import type { RemoveLeftoverInput } from "./remove-leftover.ts";
import { scopeOf, type VolumeTools } from "./volume-calls.ts";
import {
  abandonCopy,
  atDestination,
  cleanUpAt,
  copyOut,
  endMove,
  finishCopy,
  leftoverScopes,
  MIGRATE_VOLUME,
  moveTo,
  noBackend,
  receive,
  settleAtDestination,
} from "./volume-move.ts";

export interface MigrateVolumeInput {
  readonly volumeId: string;
  readonly destination: NamedPlace;
}

/**
 * Moves a volume to the backend that an administrator names. Whoever starts it has set its migration status to `starting`, and
 * maybe its status to `maintenance`.
 */
export function migrateVolumeOperation(
  deps: VolumeTools,
  removeLeftover: Operation<RemoveLeftoverInput>,
): Operation<MigrateVolumeInput> {
  const { clock } = deps.kernel;
  return operation<MigrateVolumeInput>(MIGRATE_VOLUME, { resource: "volume", deadlineMs: minutes(120) })
    .step("schedule", {
      tx: async (t, { input }) => {
        const volume = await getVolume(t, input.volumeId);
        const type = await typeById(t, volume.type_id);
        if (!type) throw typeNotFound(volume.type_id);
        const pool = await namedPool(t, deps, input.destination);
        const { size_gib: sizeGiB, id } = volume;
        if (!pool || !poolTakes(pool, { sizeGiB, type }) || pool.scope === scopeOf(volume)) throw noBackend();
        if ((await leftoverScopes(t, id)).includes(pool.scope) || !(await holdPool(t, deps, pool))) throw noBackend();
        return moveTo(volume, pool, wantsReplication(type));
      },
      span: [0, 1],
    })
    .step("begin", {
      tx: async (t, { input: { volumeId: id } }) => {
        const to = { set: { migration_status: "migrating" as const } };
        await transition(t, { clock, id, from: null, to, action: "migrate" });
      },
      undoTx: async (t, { input: { volumeId }, out, operation: op }) =>
        await cleanUpAt(t, deps, removeLeftover, { volumeId, end: out.schedule.to, operation: op }),
      span: [1, 2],
    })
    .step("receive", {
      effect: async (a, { input, out }) => receive(a, await getVolume(a.read, input.volumeId), out.schedule),
      // What undoing `begin` starts takes away what is there.
      undo: async () => {},
      span: [2, 5],
    })
    .step("copy", {
      effect: async (a, { input, out }) => {
        const { target } = out.receive;
        return await copyOut(a, deps, { volumeId: input.volumeId, move: out.schedule, target });
      },
      undo: async (a, { input, out }) => abandonCopy(a, input.volumeId, out.schedule),
      span: [5, 80],
    })
    .step("complete", {
      tx: async (t, { input: { volumeId: id } }) => {
        const to = { set: { migration_status: "completing" as const } };
        await transition(t, { clock, id, from: null, to, action: "migrate" });
      },
    })
    .step("finish-copy", {
      effect: async (a, { input, out }) => {
        const { target } = out.receive;
        await finishCopy(a, deps, { volumeId: input.volumeId, move: out.schedule, target });
      },
      // Undoing `copy` gives the source back what this took from it.
      undo: async () => {},
      span: [80, 95],
    })
    .step("switch", {
      tx: async (t, { input: { volumeId: id }, out }) => {
        const to = { set: await atDestination(t, deps, out.schedule) };
        await transition(t, { clock, id, from: null, to, action: "migrate" });
      },
      undoTx: async (t, { input: { volumeId: id }, out }) => {
        if (!(await findVolume(t, id))) return;
        await transition(t, { clock, id, from: null, to: { set: out.schedule.before }, action: "migrate" });
      },
    })
    .pivot()
    .step("settle", {
      effect: async (a, { input, out }) => settleAtDestination(a, input.volumeId, out.schedule),
      span: [95, 99],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: op }) => {
        const { volumeId } = input;
        await endMove(t, deps, volumeId, { migration_status: "success" });
        await cleanUpAt(t, deps, removeLeftover, { volumeId, end: out.schedule.from, operation: op });
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      const volume = await endMove(t, deps, input.volumeId, { migration_status: "error" });
      if (!volume) return;
      await insertMessage(t, deps.kernel, {
        projectId: volume.project_id,
        requestId: op.requestId,
        resource: "VOLUME",
        resourceId: volume.id,
        action: "migrate",
        detail: detailOf(fault.code),
      });
    });
}
