import { isoMicros } from "../../clock/clock.ts";
import type { OperationView, StepView } from "../queries.ts";

/** An operation on the wire; times are UTC with microseconds and no zone, like those of OpenStack's actions. */
export function operationBody(view: OperationView): Record<string, unknown> {
  return {
    id: view.id,
    name: view.name,
    resource: { type: view.resource, id: view.resourceId },
    project_id: view.projectId,
    user_id: view.userId,
    request_id: view.requestId,
    parent_id: view.parentId,
    state: view.state,
    direction: view.direction,
    cancelled: view.cancelled,
    late: view.late,
    step: view.step,
    percent: view.percent,
    detail: view.detail,
    fault: view.fault,
    trouble: view.trouble,
    attempts: view.attempts,
    waiting_for: view.waitingFor,
    next_run_at: time(view.nextRunAt),
    created_at: time(view.createdAt),
    updated_at: time(view.updatedAt),
    finished_at: time(view.finishedAt),
  };
}

export function stepBody(view: StepView): Record<string, unknown> {
  return {
    step: view.step,
    run: view.run,
    state: view.state,
    attempts: view.attempts,
    event: view.event,
    host: view.host,
    fault: view.fault,
    started_at: time(view.startedAt),
    finished_at: time(view.finishedAt),
  };
}

function time(ms: number | null): string | null {
  return ms === null ? null : isoMicros(ms);
}
