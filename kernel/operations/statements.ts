import type { Kysely } from "kysely";
import { atMost } from "../store/at-most.ts";
import { isAmong } from "../store/is-among.ts";
import { prepared, preparedPer } from "../store/prepared.ts";
import { FINAL_STATES, type OperationRow, type OperationTables, type SlotTable, type StepRow } from "./tables.ts";

/** The statements that every operation goes through, compiled once. */

type Db = Kysely<OperationTables>;

/** What a commit may change of the operation's own row. */
export type OperationPatch = Partial<
  Pick<
    OperationRow,
    | "state"
    | "direction"
    | "unwind_to"
    | "run"
    | "memo"
    | "cancellable"
    | "fault"
    | "trouble"
    | "step"
    | "percent"
    | "detail"
    | "run_at"
    | "wait_signals"
    | "wait_slot"
    | "attempts"
    | "finished_at"
  >
>;

interface Lease {
  id: string;
  epoch: number;
  now: number;
}

/** Changes the operation's row and locks it, if the lease still holds; tells what others may have left there. */
export const guard = preparedPer((columns: readonly (keyof OperationPatch)[]) =>
  prepared((db: Db, p: Lease & OperationPatch) =>
    db
      .updateTable("operations")
      .set({ ...Object.fromEntries(columns.map((column) => [column, p[column]])), updated_at: p.now })
      .where("id", "=", p.id)
      .where("epoch", "=", p.epoch)
      .where("state", "=", "running")
      .returning((eb) => [
        "cancelled",
        eb
          .exists(
            eb
              .selectFrom("operation_signals")
              .select("operation_signals.id")
              .whereRef("operation_signals.operation_id", "=", "operations.id"),
          )
          .as("signalled"),
      ]),
  ),
);

const STEP_KEY = ["operation_id", "run", "step"] as const;
const STEP_REST = [
  "position",
  "state",
  "output",
  "attempts",
  "fault",
  "event",
  "event_host",
  "request_id",
  "started_at",
  "finished_at",
] as const;

export const writeStep = prepared((db: Db, p: StepRow) =>
  db
    .insertInto("operation_steps")
    .values(Object.fromEntries([...STEP_KEY, ...STEP_REST].map((column) => [column, p[column]])) as unknown as StepRow)
    .onConflict((c) =>
      c
        .columns([...STEP_KEY])
        .doUpdateSet((eb) => Object.fromEntries(STEP_REST.map((column) => [column, eb.ref(`excluded.${column}`)]))),
    ),
);

export const stepsOf = prepared((db: Db, p: { id: string }) =>
  db.selectFrom("operation_steps").selectAll().where("operation_id", "=", p.id).orderBy("run"),
);

export const controlOf = prepared((db: Db, p: { id: string }) =>
  db.selectFrom("operations").select(["epoch", "state", "cancelled"]).where("id", "=", p.id),
);

export const signalsOf = prepared((db: Db, p: { id: string }) =>
  db
    .selectFrom("operation_signals")
    .select(["id", "name", "payload"])
    .where("operation_id", "=", p.id)
    .orderBy("position"),
);

export const slotsHeldBy = prepared((db: Db, p: Pick<SlotTable, "operation_id">) =>
  db.selectFrom("operation_slots").selectAll().where("operation_id", "=", p.operation_id).orderBy("slot_key"),
);

export const insertOperation = preparedPer((columns: readonly (keyof OperationRow)[]) =>
  prepared((db: Db, p: OperationRow) =>
    db
      .insertInto("operations")
      .values(Object.fromEntries(columns.map((column) => [column, p[column]])) as unknown as OperationRow),
  ),
);

export const liveOn = prepared((db: Db, p: { resourceId: string }) =>
  db
    .selectFrom("operations")
    .selectAll()
    .where("resource_id", "=", p.resourceId)
    .where("state", "not in", FINAL_STATES)
    .orderBy("created_at"),
);

interface Due {
  now: number;
  atMost: number;
}

const due = (db: Db, p: Due) =>
  db
    .selectFrom("operations")
    .select("id")
    .where("run_at", "<=", p.now)
    .orderBy("priority", "desc")
    .orderBy("run_at")
    .orderBy("created_at")
    .limit(atMost(p.atMost));

/** Operations to claim. Several processes get different ones on PostgreSQL; on SQLite there is one. */
export const dueNow = {
  sqlite: prepared(due),
  postgres: prepared((db: Db, p: Due) => due(db, p).forUpdate().skipLocked()),
};

interface Claim {
  /** JSON list. */
  ids: string;
  owner: string;
  epoch: number;
  until: number;
  now: number;
}

export const claim = prepared((db: Db, p: Claim, dialect) =>
  db
    .updateTable("operations")
    .set({ state: "running", lease_owner: p.owner, epoch: p.epoch, run_at: p.until, updated_at: p.now })
    .where(isAmong(dialect, "id", p.ids))
    .returningAll(),
);

export const nextDue = prepared((db: Db, p: { now: number }) =>
  db
    .selectFrom("operations")
    .select((eb) => eb.fn.min("run_at").as("at"))
    .where("run_at", ">", p.now),
);
