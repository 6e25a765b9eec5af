import { CloudError, type PublicFault } from "../errors/cloud-error.ts";
import type { Queries } from "../store/store.ts";
import type { Json } from "./definition.ts";
import {
  FINAL_STATES,
  type OperationRow,
  type OperationState,
  type OperationTables,
  type StepRow,
  type StepState,
} from "./tables.ts";

/** An operation as users may see it. The input, the notes and the results of steps stay inside: they may hold secrets. */
export interface OperationView {
  readonly id: string;
  readonly name: string;
  readonly resource: string;
  readonly resourceId: string;
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly requestId: string | null;
  readonly parentId: string | null;
  readonly state: OperationState;
  readonly direction: "forward" | "undo";
  readonly cancelled: boolean;
  /** Past its deadline. */
  readonly late: boolean;
  /** The step it is in, or was last. */
  readonly step: string | null;
  readonly percent: number;
  readonly detail: Record<string, Json> | null;
  /** Why it is being undone, or was. */
  readonly fault: PublicFault | null;
  /** Why its last try failed, while it pauses or is stuck. */
  readonly trouble: PublicFault | null;
  /** Failed tries of the current step. */
  readonly attempts: number;
  /** Signals that would wake it. */
  readonly waitingFor: readonly string[];
  /** Epoch milliseconds, like all times here. When it is looked at next, while nobody works on it. */
  readonly nextRunAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
}

export interface StepView {
  readonly step: string;
  /** How often the operation had gone back to an earlier step, from 1. */
  readonly run: number;
  readonly state: StepState;
  readonly attempts: number;
  readonly event: string | null;
  readonly host: string | null;
  readonly requestId: string | null;
  readonly fault: PublicFault | null;
  readonly startedAt: number;
  readonly finishedAt: number | null;
}

export interface OperationFilter {
  state?: readonly OperationState[];
  name?: string;
  resourceId?: string;
  projectId?: string;
  requestId?: string;
  /** Changed at or after this time. */
  since?: number;
}

/** Newest first. Throws `invalid` for a marker that names no operation. */
export async function listOperations(
  q: Queries,
  filter: OperationFilter,
  page: { limit: number; marker?: string | undefined },
): Promise<OperationView[]> {
  const db = q.tables<OperationTables>();
  let query = db.selectFrom("operations").selectAll();
  if (filter.state) query = query.where("state", "in", filter.state);
  if (filter.name !== undefined) query = query.where("name", "=", filter.name);
  if (filter.resourceId !== undefined) query = query.where("resource_id", "=", filter.resourceId);
  if (filter.projectId !== undefined) query = query.where("project_id", "=", filter.projectId);
  if (filter.requestId !== undefined) query = query.where("request_id", "=", filter.requestId);
  if (filter.since !== undefined) query = query.where("updated_at", ">=", filter.since);
  if (page.marker !== undefined) {
    const marker = await db
      .selectFrom("operations")
      .select(["created_at", "id"])
      .where("id", "=", page.marker)
      .executeTakeFirst();
    if (!marker) throw new CloudError("invalid", "operation.bad_marker", "The marker names no operation.");
    query = query.where((eb) => eb(eb.refTuple("created_at", "id"), "<", eb.tuple(marker.created_at, marker.id)));
  }
  const rows = await query.orderBy("created_at", "desc").orderBy("id", "desc").limit(page.limit).execute();
  return rows.map(operationView);
}

export async function showOperation(
  q: Queries,
  id: string,
): Promise<{ operation: OperationView; steps: StepView[] } | undefined> {
  const db = q.tables<OperationTables>();
  const row = await db.selectFrom("operations").selectAll().where("id", "=", id).executeTakeFirst();
  if (!row) return undefined;
  const steps = await db
    .selectFrom("operation_steps")
    .select(STEP_COLUMNS)
    .where("operation_id", "=", id)
    .orderBy("run")
    .orderBy("position")
    .execute();
  return { operation: operationView(row), steps: steps.map(stepView) };
}

/** What a step that is done had to say; null when it has not come to that. For services: it may hold secrets. */
export async function outputOfStep(q: Queries, operationId: string, step: string): Promise<Json> {
  const row = await q
    .tables<OperationTables>()
    .selectFrom("operation_steps")
    .select("output")
    .where("operation_id", "=", operationId)
    .where("step", "=", step)
    .where("state", "=", "done")
    .orderBy("run", "desc")
    .executeTakeFirst();
  return JSON.parse(row?.output ?? "null") as Json;
}

/** The steps with an `event` that worked for one request, oldest first: what instance actions show. */
export async function eventsOfRequest(q: Queries, requestId: string): Promise<(StepView & { operationId: string })[]> {
  const rows = await q
    .tables<OperationTables>()
    .selectFrom("operation_steps")
    .select([...STEP_COLUMNS, "operation_id"])
    .where("request_id", "=", requestId)
    .where("event", "is not", null)
    .orderBy("started_at")
    .orderBy("run")
    .orderBy("position")
    .execute();
  return rows.map((row) => ({ operationId: row.operation_id, ...stepView(row) }));
}

export interface OperationCounts {
  readonly byNameAndState: readonly { name: string; state: OperationState; count: number }[];
  /** How long the operation that is due for longest has waited for a runner, milliseconds; 0 when none waits. */
  readonly queueAgeMs: number;
  readonly late: number;
}

/** For metrics: the operations that have not ended. */
export async function countOperations(q: Queries, now: number): Promise<OperationCounts> {
  const db = q.tables<OperationTables>();
  const byNameAndState = await db
    .selectFrom("operations")
    .select((eb) => ["name", "state", eb.fn.countAll<number>().as("count"), eb.fn.sum<number>("late").as("late")])
    .where("finished_at", "is", null)
    .groupBy(["name", "state"])
    .execute();
  const oldest = await db
    .selectFrom("operations")
    .select((eb) => eb.fn.min("run_at").as("at"))
    .where("run_at", "<=", now)
    .executeTakeFirst();
  return {
    byNameAndState: byNameAndState.map(({ name, state, count }) => ({ name, state, count })),
    queueAgeMs: oldest?.at ? now - oldest.at : 0,
    late: byNameAndState.reduce((sum, row) => sum + row.late, 0),
  };
}

export function isFinal(state: OperationState): boolean {
  return FINAL_STATES.includes(state);
}

function operationView(row: OperationRow): OperationView {
  const resting = row.state !== "running";
  return {
    id: row.id,
    name: row.name,
    resource: row.resource,
    resourceId: row.resource_id,
    projectId: row.project_id,
    userId: row.user_id,
    requestId: row.request_id,
    parentId: row.parent_id,
    state: row.state,
    direction: row.direction,
    cancelled: row.cancelled === 1,
    late: row.late === 1,
    step: row.step,
    percent: row.percent,
    detail: parsed<Record<string, Json>>(row.detail),
    fault: parsed<PublicFault>(row.fault),
    trouble: parsed<PublicFault>(row.trouble),
    attempts: row.attempts,
    waitingFor: row.state === "waiting" ? (parsed<string[]>(row.wait_signals) ?? []) : [],
    nextRunAt: resting ? row.run_at : null,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at,
  };
}

const STEP_COLUMNS = [
  "step",
  "run",
  "state",
  "attempts",
  "event",
  "event_host",
  "request_id",
  "fault",
  "started_at",
  "finished_at",
] as const;

type StepColumns = Pick<StepRow, (typeof STEP_COLUMNS)[number]>;

function stepView(row: StepColumns): StepView {
  return {
    step: row.step,
    run: row.run,
    state: row.state,
    attempts: row.attempts,
    event: row.event,
    host: row.event_host,
    requestId: row.request_id,
    fault: parsed<PublicFault>(row.fault),
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

function parsed<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T);
}
