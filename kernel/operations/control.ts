import type { Clock } from "../clock/clock.ts";
import { CloudError, type PublicFault } from "../errors/cloud-error.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Queries, Tx } from "../store/store.ts";
import { CHANGED_CHANNEL, CONTROL_CHANNEL, DUE_CHANNEL } from "./channels.ts";
import type { Json, Operation } from "./definition.ts";
import { releaseSlots } from "./slots.ts";
import { insertOperation, liveOn } from "./statements.ts";
import { FINAL_STATES, type OperationRow, type OperationTables } from "./tables.ts";

export interface StartOptions<Input> {
  input: Input;
  resourceId: string;
  projectId?: string | null;
  userId?: string | null;
  requestId?: string | null;
  parentId?: string | null;
}

/** Starts, signals and stops operations, always inside the transaction of whoever asks. */
export class OperationControl {
  readonly #clock: Clock;
  readonly #ids: IdSource;

  constructor(clock: Clock, ids: IdSource) {
    this.#clock = clock;
    this.#ids = ids;
  }

  /** Inserts the operation; it runs after the commit, on whichever process claims it. Returns its id. */
  async start<Input>(t: Tx, definition: Operation<Input>, options: StartOptions<Input>): Promise<string> {
    const now = this.#clock.now();
    const id = this.#ids.uuid();
    const row: OperationRow = {
      id,
      name: definition.name,
      resource: definition.options.resource,
      resource_id: options.resourceId,
      project_id: options.projectId ?? null,
      user_id: options.userId ?? null,
      request_id: options.requestId ?? null,
      parent_id: options.parentId ?? null,
      input: JSON.stringify(options.input),
      memo: "{}",
      state: "ready",
      direction: "forward",
      unwind_to: null,
      run: 1,
      fault: null,
      trouble: null,
      cancelled: 0,
      cancellable: definition.steps[0]?.pivoted ? 0 : 1,
      step: null,
      percent: 0,
      detail: null,
      priority: definition.options.priority?.(options.input) ?? 0,
      run_at: now,
      wait_signals: null,
      wait_slot: null,
      attempts: 0,
      lease_owner: null,
      epoch: 0,
      deadline_at: now + definition.options.deadlineMs,
      late: 0,
      created_at: now,
      updated_at: now,
      finished_at: null,
    };
    await insertOperation(Object.keys(row) as (keyof OperationRow)[]).all(t, row);
    t.notify(DUE_CHANNEL, "");
    t.notify(CHANGED_CHANNEL, id);
    return id;
  }

  /** Leaves a signal for the operation and wakes it when it waits for that name. Throws `conflict` (`operation.ended`) once it has ended. */
  async signal(t: Tx, operationId: string, name: string, payload: Json = null): Promise<void> {
    const row = await this.#lockLive(t, operationId);
    const db = t.tables<OperationTables>();
    const last = await db
      .selectFrom("operation_signals")
      .select((eb) => eb.fn.max("position").as("position"))
      .where("operation_id", "=", operationId)
      .executeTakeFirst();
    await db
      .insertInto("operation_signals")
      .values({
        id: this.#ids.uuid(),
        operation_id: operationId,
        name,
        payload: JSON.stringify(payload),
        position: (last?.position ?? 0) + 1,
        created_at: this.#clock.now(),
      })
      .execute();
    if (row.state === "waiting" && waitsFor(row, name)) await this.#wake(t, operationId);
    t.notify(CONTROL_CHANNEL, operationId);
  }

  /**
   * Asks the operation to undo itself. Throws `conflict` (`operation.past_pivot`) once the first step past its pivot has
   * started, or when it begins with that step, and once the operation has ended (`operation.ended`).
   */
  async cancel(t: Tx, operationId: string): Promise<void> {
    const row = await this.#lockLive(t, operationId);
    if (row.cancellable === 0) throw pastPivot(operationId);
    const due = row.state === "running" ? {} : { run_at: this.#clock.now() };
    await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({ cancelled: 1, ...due })
      .where("id", "=", operationId)
      .execute();
    t.notify(DUE_CHANNEL, "");
    t.notify(CONTROL_CHANNEL, operationId);
    t.notify(CHANGED_CHANNEL, operationId);
  }

  /** Tries a stuck or pausing operation again at once. Throws `conflict` when there is nothing to try. */
  async retryNow(t: Tx, operationId: string): Promise<void> {
    const row = await this.#lockLive(t, operationId);
    if (row.state !== "stuck" && row.state !== "ready") {
      throw new CloudError(
        "conflict",
        "operation.not_stuck",
        `Operation ${operationId} is ${row.state}; there is nothing to retry.`,
      );
    }
    await this.#wake(t, operationId);
  }

  /**
   * Fences the operation: whatever is still in flight for it can change nothing any more. Nothing is undone; who
   * abandons an operation takes over the resource. Fine when it has ended.
   */
  async abandon(t: Tx, operationId: string): Promise<void> {
    const now = this.#clock.now();
    const changed = await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({
        state: "abandoned",
        run_at: null,
        lease_owner: null,
        wait_signals: null,
        wait_slot: null,
        updated_at: now,
        finished_at: now,
      })
      .where("id", "=", operationId)
      .where("state", "not in", FINAL_STATES)
      .executeTakeFirst();
    if (changed.numUpdatedRows === 0n) return;
    await releaseSlots(t, operationId, now);
    t.notify(CONTROL_CHANNEL, operationId);
    t.notify(CHANGED_CHANNEL, operationId);
  }

  /** The row as it is now, locked until the transaction ends: a runner that parks at the same time comes before or after. */
  async #lockLive(t: Tx, operationId: string): Promise<OperationRow> {
    const row = await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({ updated_at: this.#clock.now() })
      .where("id", "=", operationId)
      .where("state", "not in", FINAL_STATES)
      .returningAll()
      .executeTakeFirst();
    if (!row) throw notUnderWay(operationId, await findOperation(t, operationId));
    return row;
  }

  async #wake(t: Tx, operationId: string): Promise<void> {
    await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({ run_at: this.#clock.now(), state: "ready" })
      .where("id", "=", operationId)
      .execute();
    t.notify(DUE_CHANNEL, "");
    t.notify(CHANGED_CHANNEL, operationId);
  }
}

export async function findOperation(q: Queries, operationId: string): Promise<OperationRow | undefined> {
  return await q
    .tables<OperationTables>()
    .selectFrom("operations")
    .selectAll()
    .where("id", "=", operationId)
    .executeTakeFirst();
}

/** Operations of a resource that have not ended, oldest first. */
export async function liveOperations(q: Queries, resourceId: string): Promise<OperationRow[]> {
  return await liveOn.all(q, { resourceId });
}

function notUnderWay(operationId: string, row: OperationRow | undefined): CloudError {
  if (!row) return new CloudError("notFound", "operation.not_found", `There is no operation ${operationId}.`);
  const fault = row.fault === null ? undefined : (JSON.parse(row.fault) as PublicFault);
  const how = row.state === "undone" && fault ? `undone: ${fault.message}` : `${row.state}.`;
  return new CloudError("conflict", "operation.ended", `Operation ${operationId} has ended: ${how}`);
}

function pastPivot(operationId: string): CloudError {
  return new CloudError(
    "conflict",
    "operation.past_pivot",
    `Operation ${operationId} can only go forward; it cannot be cancelled.`,
  );
}

function waitsFor(row: OperationRow, name: string): boolean {
  return row.wait_signals !== null && (JSON.parse(row.wait_signals) as string[]).includes(name);
}
