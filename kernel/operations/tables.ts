import type { Selectable } from "kysely";
import type { Migration } from "../store/migrate.ts";

/**
 * `ready` may be claimed when `run_at` has come; `running` is leased until `run_at`; `waiting` waits for a signal, a
 * slot or `run_at`; `stuck` keeps failing and is tried again slowly; `done`, `undone` and `abandoned` are final.
 */
export type OperationState = "ready" | "running" | "waiting" | "stuck" | "done" | "undone" | "abandoned";
export const FINAL_STATES: readonly OperationState[] = ["done", "undone", "abandoned"];

export type StepState = "started" | "done" | "skipped" | "undone";

export interface OperationTable {
  id: string;
  name: string;
  resource: string;
  resource_id: string;
  project_id: string | null;
  user_id: string | null;
  request_id: string | null;
  parent_id: string | null;
  input: string;
  memo: string;
  state: OperationState;
  direction: "forward" | "undo";
  /** Step to undo back to before going forward again; null undoes everything. */
  unwind_to: string | null;
  /** How often a Redo went back. */
  run: number;
  /** Why it is being undone, or was. */
  fault: string | null;
  /** Why its last try failed, while it pauses before the next or is stuck. */
  trouble: string | null;
  cancelled: number;
  /** 0 once the pivot is passed: from then on it only goes forward. */
  cancellable: number;
  step: string | null;
  percent: number;
  detail: string | null;
  priority: number;
  /** When a runner should look at it (next): null when only a signal, a slot or nothing can move it. */
  run_at: number | null;
  wait_signals: string | null;
  wait_slot: string | null;
  /** Failed tries of the current step. */
  attempts: number;
  lease_owner: string | null;
  epoch: number;
  deadline_at: number;
  late: number;
  created_at: number;
  updated_at: number;
  finished_at: number | null;
}
export type OperationRow = Selectable<OperationTable>;

export interface StepTable {
  operation_id: string;
  run: number;
  position: number;
  step: string;
  state: StepState;
  output: string | null;
  attempts: number;
  fault: string | null;
  event: string | null;
  event_host: string | null;
  request_id: string | null;
  started_at: number;
  finished_at: number | null;
}
export type StepRow = Selectable<StepTable>;

export interface SignalTable {
  id: string;
  operation_id: string;
  name: string;
  payload: string;
  /** Order of arrival within the operation, from 1. */
  position: number;
  created_at: number;
}

export interface SlotTable {
  slot_key: string;
  /** 1 to the slot's maximum. */
  place: number;
  operation_id: string;
}

/** One row per key ever used: locking it orders takers and givers. */
export interface SlotKeyTable {
  slot_key: string;
  turns: number;
}

export interface OperationTables {
  operations: OperationTable;
  operation_steps: StepTable;
  operation_signals: SignalTable;
  operation_slots: SlotTable;
  operation_slot_keys: SlotKeyTable;
}

export const operationMigrations: readonly Migration[] = [
  {
    name: "kernel-0002-operations",
    statements: [
      `CREATE TABLE operations (
        id text PRIMARY KEY, name text NOT NULL, resource text NOT NULL, resource_id text NOT NULL,
        project_id text, user_id text, request_id text, parent_id text,
        input text NOT NULL, memo text NOT NULL, state text NOT NULL, direction text NOT NULL, unwind_to text,
        run bigint NOT NULL, fault text, trouble text, cancelled bigint NOT NULL, step text, percent double precision NOT NULL, detail text,
        priority bigint NOT NULL, run_at bigint, wait_signals text, wait_slot text, attempts bigint NOT NULL,
        lease_owner text, epoch bigint NOT NULL, deadline_at bigint NOT NULL, late bigint NOT NULL,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, finished_at bigint)`,
      "CREATE INDEX operations_due ON operations (run_at) WHERE run_at IS NOT NULL",
      "CREATE INDEX operations_of_resource ON operations (resource_id, created_at)",
      "CREATE INDEX operations_by_age ON operations (created_at, id)",
      "CREATE INDEX operations_by_request ON operations (request_id)",
      "CREATE INDEX operations_live_by_deadline ON operations (deadline_at) WHERE finished_at IS NULL",
      "CREATE INDEX operations_of_project ON operations (project_id, created_at, id)",
      "CREATE INDEX operations_in_slot_queue ON operations (wait_slot) WHERE wait_slot IS NOT NULL",
      `CREATE TABLE operation_steps (
        operation_id text NOT NULL REFERENCES operations (id) ON DELETE CASCADE, run bigint NOT NULL, position bigint NOT NULL,
        step text NOT NULL, state text NOT NULL, output text, attempts bigint NOT NULL, fault text,
        event text, event_host text, request_id text, started_at bigint NOT NULL, finished_at bigint,
        PRIMARY KEY (operation_id, run, step))`,
      "CREATE INDEX operation_steps_by_request ON operation_steps (request_id) WHERE request_id IS NOT NULL",
      `CREATE TABLE operation_signals (
        id text PRIMARY KEY, operation_id text NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
        name text NOT NULL, payload text NOT NULL, position bigint NOT NULL, created_at bigint NOT NULL)`,
      "CREATE INDEX operation_signals_of ON operation_signals (operation_id)",
      `CREATE TABLE operation_slots (
        slot_key text NOT NULL, place bigint NOT NULL,
        operation_id text NOT NULL REFERENCES operations (id) ON DELETE CASCADE, PRIMARY KEY (slot_key, place))`,
      "CREATE INDEX operation_slots_of ON operation_slots (operation_id)",
      "CREATE TABLE operation_slot_keys (slot_key text PRIMARY KEY, turns bigint NOT NULL)",
    ],
  },
  {
    name: "kernel-0004-cancellable",
    // Of an operation that is under way nobody knows on which side of its pivot it is.
    statements: ["ALTER TABLE operations ADD COLUMN cancellable bigint NOT NULL DEFAULT 0"],
  },
];
