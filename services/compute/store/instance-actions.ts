import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables } from "./tables.ts";

export interface NewAction {
  readonly serverId: string;
  readonly requestId: string;
  readonly action: string;
  readonly userId: string;
  readonly projectId: string;
  readonly operationId: string | null;
}

/** Records what a user asked for; its events come from the operation's journal under the same request id. */
export async function recordAction(t: Tx, tools: { clock: Clock; ids: IdSource }, action: NewAction): Promise<void> {
  const now = tools.clock.now();
  await t
    .tables<ComputeTables>()
    .insertInto("instance_actions")
    .values({
      id: tools.ids.uuid(),
      server_id: action.serverId,
      request_id: action.requestId,
      action: action.action,
      user_id: action.userId,
      project_id: action.projectId,
      operation_id: action.operationId,
      message: null,
      started_at: now,
      updated_at: now,
    })
    .execute();
}

/** Marks the end of the action; `Error` is the literal that OpenStack shows for any failure. */
export async function endAction(t: Tx, clock: Clock, requestId: string | null, outcome: "ok" | "error"): Promise<void> {
  if (requestId === null) return;
  await t
    .tables<ComputeTables>()
    .updateTable("instance_actions")
    .set({ updated_at: clock.now(), ...(outcome === "error" ? { message: "Error" } : {}) })
    .where("request_id", "=", requestId)
    .execute();
}
