import type { Kysely } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import { prepared } from "../../../kernel/store/prepared.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables, InstanceActionRow } from "./tables.ts";

type Db = Kysely<ComputeTables>;

export interface NewAction {
  readonly serverId: string;
  readonly requestId: string;
  readonly action: string;
  readonly userId: string;
  readonly projectId: string;
  readonly operationId: string | null;
}

const insertAction = prepared((db: Db, p: InstanceActionRow) =>
  db.insertInto("instance_actions").values({
    id: p.id,
    server_id: p.server_id,
    request_id: p.request_id,
    action: p.action,
    user_id: p.user_id,
    project_id: p.project_id,
    operation_id: p.operation_id,
    message: p.message,
    started_at: p.started_at,
    updated_at: p.updated_at,
  }),
);

const touchAction = prepared((db: Db, p: { request_id: string; now: number }) =>
  db.updateTable("instance_actions").set({ updated_at: p.now }).where("request_id", "=", p.request_id),
);

const failAction = prepared((db: Db, p: { request_id: string; now: number }) =>
  db
    .updateTable("instance_actions")
    .set({ updated_at: p.now, message: "Error" })
    .where("request_id", "=", p.request_id),
);

/** Records what a user asked for; its events come from the operation's journal under the same request id. */
export async function recordAction(t: Tx, tools: { clock: Clock; ids: IdSource }, action: NewAction): Promise<void> {
  const now = tools.clock.now();
  await insertAction.all(t, {
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
  });
}

/** Marks the end of the action; `Error` is the literal that OpenStack shows for any failure. */
export async function endAction(t: Tx, clock: Clock, requestId: string | null, outcome: "ok" | "error"): Promise<void> {
  if (requestId === null) return;
  const statement = outcome === "error" ? failAction : touchAction;
  await statement.all(t, { request_id: requestId, now: clock.now() });
}
