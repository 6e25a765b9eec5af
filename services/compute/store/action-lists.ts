import type { OperationTables, StepRow } from "../../../kernel/operations/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ComputeTables, InstanceActionRow } from "./tables.ts";

export interface ActionPage {
  readonly limit: number;
  readonly marker: InstanceActionRow | undefined;
  /** Epoch milliseconds, inclusive. */
  readonly changedSince?: number | undefined;
  readonly changedBefore?: number | undefined;
}

/** What was asked of a server, newest first. */
export async function listActions(q: Queries, serverId: string, page: ActionPage): Promise<InstanceActionRow[]> {
  const { marker } = page;
  let query = q
    .tables<ComputeTables>()
    .selectFrom("instance_actions")
    .selectAll()
    .where("server_id", "=", serverId)
    .orderBy("started_at", "desc")
    .orderBy("id", "desc")
    .limit(page.limit);
  if (page.changedSince !== undefined) query = query.where("updated_at", ">=", page.changedSince);
  if (page.changedBefore !== undefined) query = query.where("updated_at", "<=", page.changedBefore);
  if (marker) {
    query = query.where((eb) =>
      eb.or([
        eb("started_at", "<", marker.started_at),
        eb.and([eb("started_at", "=", marker.started_at), eb("id", "<", marker.id)]),
      ]),
    );
  }
  return await query.execute();
}

export async function findAction(
  q: Queries,
  serverId: string,
  requestId: string,
): Promise<InstanceActionRow | undefined> {
  return await q
    .tables<ComputeTables>()
    .selectFrom("instance_actions")
    .selectAll()
    .where("server_id", "=", serverId)
    .where("request_id", "=", requestId)
    .executeTakeFirst();
}

export type ActionEvent = Pick<StepRow, "state" | "fault" | "event" | "event_host" | "started_at" | "finished_at">;

/** Actions that steer the operation of an earlier one, with the event that OpenStack shows for each. */
const STEERING: Readonly<Record<string, string>> = {
  live_migration_cancel: "compute_live_migration_abort",
  live_migration_force_complete: "compute_live_migration_force_complete",
};

/** Events of an action on a server, newest first. */
export async function eventsOf(q: Queries, action: InstanceActionRow): Promise<ActionEvent[]> {
  const steering = STEERING[action.action];
  return steering === undefined ? await stepEvents(q, action) : await steeringEvent(q, action, steering);
}

/** It has no step of its own: it lasts from the request until the migration that it steers is over. */
async function steeringEvent(q: Queries, action: InstanceActionRow, event: string): Promise<ActionEvent[]> {
  const row = await q
    .tables<OperationTables>()
    .selectFrom("operations")
    .leftJoin("operation_steps", (join) =>
      join
        .onRef("operation_steps.operation_id", "=", "operations.id")
        .on("operation_steps.event", "=", "compute_live_migration"),
    )
    .select(["operations.finished_at as ended_at", "operation_steps.finished_at", "operation_steps.event_host"])
    .where("operations.id", "=", action.operation_id)
    .orderBy("operation_steps.run", "desc")
    .executeTakeFirst();
  if (!row) return [];
  const finished_at = row.finished_at ?? row.ended_at;
  const state = finished_at === null ? "started" : "done";
  return [{ state, fault: null, event, event_host: row.event_host, started_at: action.started_at, finished_at }];
}

/** Steps of operations that stand for events of an action on a server, newest first. */
async function stepEvents(q: Queries, action: InstanceActionRow): Promise<ActionEvent[]> {
  return await q
    .tables<OperationTables>()
    .selectFrom("operation_steps")
    .innerJoin("operations", "operations.id", "operation_steps.operation_id")
    .select(["operation_steps.state", "operation_steps.fault", "operation_steps.event", "operation_steps.event_host"])
    .select(["operation_steps.started_at", "operation_steps.finished_at"])
    .where("operation_steps.request_id", "=", action.request_id)
    .where("operations.resource_id", "=", action.server_id)
    .where("operation_steps.event", "is not", null)
    .where("operation_steps.state", "!=", "skipped")
    .orderBy("operation_steps.started_at", "desc")
    .orderBy("operation_steps.run", "desc")
    .orderBy("operation_steps.position", "desc")
    .execute();
}
