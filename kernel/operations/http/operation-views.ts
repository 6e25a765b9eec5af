import { isoMicros } from "../../clock/clock.ts";
import type { PublicFault } from "../../errors/cloud-error.ts";
import type { OperationView, StepView } from "../queries.ts";

/** Who is shown it. */
export interface Viewer {
  readonly isAdmin: boolean;
}

/** An operation on the wire; times are UTC with microseconds and no zone, like those of OpenStack's actions. */
export function operationBody(view: OperationView, viewer: Viewer): Record<string, unknown> {
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
    fault: faultBody(view.fault, viewer),
    trouble: faultBody(view.trouble, viewer),
    attempts: view.attempts,
    waiting_for: view.waitingFor,
    next_run_at: time(view.nextRunAt),
    created_at: time(view.createdAt),
    updated_at: time(view.updatedAt),
    finished_at: time(view.finishedAt),
  };
}

export function stepBody(view: StepView, viewer: Viewer): Record<string, unknown> {
  return {
    step: view.step,
    run: view.run,
    state: view.state,
    attempts: view.attempts,
    event: view.event,
    host: view.host,
    fault: faultBody(view.fault, viewer),
    started_at: time(view.startedAt),
    finished_at: time(view.finishedAt),
  };
}

/** Reasons name hosts and what is on them: they are the administrators'. */
function faultBody(fault: PublicFault | null, { isAdmin }: Viewer): PublicFault | null {
  if (fault === null || isAdmin) return fault;
  const { kind, code, message } = fault;
  return { kind, code, message };
}

function time(ms: number | null): string | null {
  return ms === null ? null : isoMicros(ms);
}
