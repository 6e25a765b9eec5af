import { type Kysely, sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { prepared, preparedPer } from "../../../kernel/store/prepared.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { type TaskState, type VmState, vmStateMayBecome } from "../domain/server-state.ts";
import type { ComputeTables, FlavorSnapshot, ServerRow, StoredFault } from "./tables.ts";

type Db = Kysely<ComputeTables>;

/** Part of every write of a server's row. */
export const NEXT_REVISION = { revision: sql<number>`revision + 1` };

const serverById = prepared((db: Db, p: { id: string }) =>
  db.selectFrom("servers").selectAll().where("id", "=", p.id).where("deleted_at", "is", null),
);

/** The server, unless deleted. */
export async function findServer(q: Queries, id: string): Promise<ServerRow | undefined> {
  return await serverById.first(q, { id });
}

/** Throws `compute.server_not_found`. */
export async function getServer(q: Queries, id: string): Promise<ServerRow> {
  const row = await findServer(q, id);
  if (!row) throw serverNotFound(id);
  return row;
}

export function serverNotFound(id: string): CloudError {
  return new CloudError("notFound", "compute.server_not_found", `Instance ${id} could not be found.`);
}

const lockById = prepared((db: Db, p: { id: string }) =>
  db
    .updateTable("servers")
    .set({ number: sql.ref("number") })
    .where("id", "=", p.id)
    .returningAll(),
);

/** Keeps other transactions from changing the server until this one ends. The row as it is now, also when deleted. */
export async function lockServer(t: Tx, id: string): Promise<ServerRow | undefined> {
  return await lockById.first(t, { id });
}

export function flavorOf(row: Pick<ServerRow, "flavor">): FlavorSnapshot {
  return JSON.parse(row.flavor) as FlavorSnapshot;
}

/** What a server of that flavor takes of a host: no disk when it boots from a volume. */
export function roomOf({ storage }: Pick<ServerRow, "storage">, flavor: FlavorSnapshot): FlavorSnapshot {
  return storage === "volume" ? { ...flavor, diskGiB: 0 } : flavor;
}

/** What the state must be for a change to happen. An absent part is not looked at. */
export interface ExpectedState {
  readonly vm?: readonly VmState[];
  readonly task?: readonly (TaskState | null)[];
}

/** The new state, and what changes along with it. */
export interface StateChange {
  readonly vm?: VmState;
  readonly task?: TaskState | null;
  readonly set?: Partial<
    Pick<ServerRow, "host" | "zone" | "power_state" | "flavor" | "launched_at" | "fault" | "storage" | "deleted_at">
  >;
}

type StatePatch = Partial<Omit<ServerRow, "id" | "revision">>;

/** Changes a server that is still in the state that was seen. */
const changeState = preparedPer((columns: readonly (keyof StatePatch)[]) =>
  prepared((db: Db, p: StatePatch & { id: string; seen_vm: VmState; seen_task: TaskState | null }) =>
    db
      .updateTable("servers")
      .set({ ...Object.fromEntries(columns.map((column) => [column, p[column]])), ...NEXT_REVISION })
      .where("id", "=", p.id)
      .where("vm_state", "=", p.seen_vm)
      .where("task_state", "is not distinct from", p.seen_task)
      .where("deleted_at", "is", null)
      .returning("revision"),
  ),
);

/**
 * The only writer of a server's state: compares and sets. Throws `compute.server_state` (conflict) when the server is
 * not in an expected state, `compute.server_not_found` when it is gone, and refuses pairs that the model does not have.
 */
export async function transition(
  t: Tx,
  options: { clock: Clock; id: string; from: ExpectedState; to: StateChange; action: string },
): Promise<ServerRow> {
  const { clock, id, from, to, action } = options;
  const row = await getServer(t, id);
  if (from.vm && !from.vm.includes(row.vm_state)) throw stateConflict(row, action, "vm_state", row.vm_state);
  if (from.task && !from.task.includes(row.task_state))
    throw stateConflict(row, action, "task_state", row.task_state ?? "None");
  if (to.vm && !vmStateMayBecome(row.vm_state, to.vm)) throw stateConflict(row, action, "vm_state", row.vm_state);
  const patch: StatePatch = {
    ...to.set,
    ...(to.vm === undefined ? {} : { vm_state: to.vm }),
    ...(to.task === undefined ? {} : { task_state: to.task }),
    updated_at: clock.now(),
  };
  const columns = Object.keys(patch) as (keyof StatePatch)[];
  const seen = { id, seen_vm: row.vm_state, seen_task: row.task_state };
  const changed = await changeState(columns).first(t, { ...patch, ...seen });
  if (!changed) throw stateConflict(row, action, "task_state", "changing");
  return { ...row, ...patch, ...changed };
}

/** `os-resetState`: any state to `active` or `error`, no task. The one change that the model does not check. */
export async function forceState(t: Tx, clock: Clock, id: string, vm: "active" | "error"): Promise<void> {
  await t
    .tables<ComputeTables>()
    .updateTable("servers")
    .set({ vm_state: vm, task_state: null, updated_at: clock.now(), ...NEXT_REVISION })
    .where("id", "=", id)
    .execute();
}

export function stateConflict(row: ServerRow, action: string, attribute: string, value: string): CloudError {
  return new CloudError(
    "conflict",
    "compute.server_state",
    `Cannot '${action}' instance ${row.id} while it is in ${attribute} ${value}`,
  );
}

/** A failure in the form that the server's `fault` shows. 500 stands for failures whose details only administrators see. */
export function storedFault(clock: Clock, fault: { kind: string; message: string; reason?: string }): string {
  const code = fault.kind === "noCapacity" || fault.kind === "internal" ? 500 : 400;
  const stored: StoredFault = { code, message: fault.message, details: fault.reason ?? null, created: clock.now() };
  return JSON.stringify(stored);
}
