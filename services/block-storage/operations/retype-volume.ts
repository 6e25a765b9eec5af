import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { isReplicated, mustBeMovable } from "../domain/can-move.ts";
import { isMigrating } from "../domain/can-volume.ts";
import { poolOfScope } from "../scheduler/pools.ts";
import { poolSuits, selectPool } from "../scheduler/select-pool.ts";
import { detailOf, insertMessage } from "../store/messages.ts";
import { snapshotsOf } from "../store/snapshots.ts";
import type { VolumeRow, VolumeTypeRow } from "../store/tables.ts";
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
  type Move,
  moveTo,
  RETYPE_VOLUME,
  receive,
  settleAtDestination,
} from "./volume-move.ts";

export interface RetypeVolumeInput {
  readonly volumeId: string;
  readonly typeId: string;
  /** It may move when its backend has not what the type needs. */
  readonly mayMove: boolean;
  /** What it adds to the project's usage of the new type, by resource: counted while it is under way. */
  readonly growth: Readonly<Record<string, number>>;
}

type Decided = { readonly move: Move | null; readonly oldTypeId: string };

/** Gives a volume another type, on another backend where that must be. Whoever starts it has set its status to `retyping`. */
export function retypeVolumeOperation(
  deps: VolumeTools,
  removeLeftover: Operation<RemoveLeftoverInput>,
): Operation<RetypeVolumeInput> {
  const { clock } = deps.kernel;
  const moves = ({ out }: { readonly out: { readonly schedule: Decided } }) => out.schedule.move !== null;
  return operation<RetypeVolumeInput>(RETYPE_VOLUME, { resource: "volume", deadlineMs: minutes(120) })
    .step("schedule", {
      tx: async (t, { input }): Promise<Decided> => {
        const volume = await getVolume(t, input.volumeId);
        const type = await typeById(t, input.typeId);
        if (!type) throw typeNotFound(input.typeId);
        const { type_id: oldTypeId } = volume;
        if (await staysWhereItIs(t, volume, type)) return { move: null, oldTypeId };
        if (!input.mayMove) throw mustMove();
        mustBeMovable(volume, (await snapshotsOf(t, volume.id)).length > 0);
        const pool = await selectPool(t, deps, {
          sizeGiB: volume.size_gib,
          zone: volume.zone,
          type,
          exclude: [scopeOf(volume) ?? "", ...(await leftoverScopes(t, volume.id))],
          only: null,
        });
        return { move: moveTo(volume, pool, wantsReplication(type)), oldTypeId };
      },
      span: [0, 1],
    })
    .step("begin", {
      when: moves,
      tx: async (t, { input: { volumeId: id } }) => {
        const to = { set: { migration_status: "migrating" as const } };
        await transition(t, { clock, id, from: null, to, action: "retype" });
      },
      undoTx: async (t, { input: { volumeId }, out, operation: op }) => {
        const end = moveOf(out.schedule).to;
        await cleanUpAt(t, deps, removeLeftover, { volumeId, end, operation: op });
      },
      span: [1, 2],
    })
    .step("receive", {
      when: moves,
      effect: async (a, { input, out }) => receive(a, await getVolume(a.read, input.volumeId), moveOf(out.schedule)),
      // What undoing `begin` starts takes away what is there.
      undo: async () => {},
      span: [2, 5],
    })
    .step("copy", {
      when: moves,
      effect: async (a, { input, out }) => {
        const copied = { volumeId: input.volumeId, move: moveOf(out.schedule), target: targetOf(out.receive) };
        return await copyOut(a, deps, copied);
      },
      undo: async (a, { input, out }) => abandonCopy(a, input.volumeId, moveOf(out.schedule)),
      span: [5, 80],
    })
    .step("complete", {
      when: moves,
      tx: async (t, { input: { volumeId: id } }) => {
        const to = { set: { migration_status: "completing" as const } };
        await transition(t, { clock, id, from: null, to, action: "retype" });
      },
    })
    .step("finish-copy", {
      when: moves,
      effect: async (a, { input, out }) => {
        const copied = { volumeId: input.volumeId, move: moveOf(out.schedule), target: targetOf(out.receive) };
        await finishCopy(a, deps, copied);
      },
      // Undoing `copy` gives the source back what this took from it.
      undo: async () => {},
      span: [80, 95],
    })
    .step("switch", {
      tx: async (t, { input: { volumeId: id, typeId: type_id }, out }) => {
        const { move } = out.schedule;
        const to = { set: { type_id, ...(move ? await atDestination(t, deps, move) : {}) } };
        await transition(t, { clock, id, from: null, to, action: "retype" });
      },
      undoTx: async (t, { input: { volumeId: id }, out }) => {
        if (!(await findVolume(t, id))) return;
        const { move, oldTypeId } = out.schedule;
        const to = { set: { type_id: oldTypeId, ...(move?.before ?? {}) } };
        await transition(t, { clock, id, from: null, to, action: "retype" });
      },
    })
    .pivot()
    .step("settle", {
      when: moves,
      effect: async (a, { input, out }) => settleAtDestination(a, input.volumeId, moveOf(out.schedule)),
      span: [95, 99],
    })
    .step("publish", {
      tx: async (t, { input: { volumeId }, out, operation: op }) => {
        const { move } = out.schedule;
        await endMove(t, deps, volumeId, { migration_status: null });
        if (move) await cleanUpAt(t, deps, removeLeftover, { volumeId, end: move.from, operation: op });
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      const begun = await findVolume(t, input.volumeId);
      const set = begun && isMigrating(begun) ? { migration_status: "error" as const } : {};
      const volume = await endMove(t, deps, input.volumeId, set);
      if (!volume) return;
      await insertMessage(t, deps.kernel, {
        projectId: volume.project_id,
        requestId: op.requestId,
        resource: "VOLUME",
        resourceId: volume.id,
        action: "retype",
        detail: detailOf(fault.code),
      });
    });

  async function staysWhereItIs(t: Tx, volume: VolumeRow, type: VolumeTypeRow): Promise<boolean> {
    const pool = await poolOfScope(t, scopeOf(volume) ?? "");
    return pool !== undefined && poolSuits(pool, type) && wantsReplication(type) === isReplicated(volume);
  }
}

function moveOf({ move }: Decided): Move {
  if (move) return move;
  throw new CloudError("internal", "block-storage.no_move", "The volume does not move.");
}

function targetOf<T>(received: { readonly target: T } | undefined): T {
  if (received) return received.target;
  throw new CloudError("internal", "block-storage.no_move", "The volume does not move.");
}

function mustMove(): CloudError {
  return new CloudError(
    "conflict",
    "block-storage.retype_moves",
    "The volume's backend has not what the type needs, and the volume may not move.",
  );
}
