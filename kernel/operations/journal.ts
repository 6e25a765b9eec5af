import type { Clock } from "../clock/clock.ts";
import type { PublicFault } from "../errors/cloud-error.ts";
import type { Queries, Store, Tx } from "../store/store.ts";
import { CHANGED_CHANNEL } from "./channels.ts";
import type { AnyStep, Json } from "./definition.ts";
import { releaseSlots } from "./slots.ts";
import { controlOf, guard, type OperationPatch, signalsOf, stepsOf, writeStep } from "./statements.ts";
import type { OperationRow, StepRow } from "./tables.ts";

/** The runner no longer owns the operation: it was fenced, or another runner took it over. Everything stops silently. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** The journal of one operation under one lease. Every write proves the lease first, in the same transaction. */
export class Journal {
  readonly op: OperationRow;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #steps = new Map<string, StepRow>();
  #signalled = true;

  private constructor(store: Store, clock: Clock, op: OperationRow, steps: readonly StepRow[]) {
    this.#store = store;
    this.#clock = clock;
    this.op = op;
    for (const row of steps) this.#steps.set(row.step, row);
  }

  static async open(store: Store, clock: Clock, op: OperationRow): Promise<Journal> {
    // The first record of a step also names it in the operation's row.
    const steps = op.step === null ? [] : await stepsOf.all(store.read, { id: op.id });
    return new Journal(store, clock, op, steps);
  }

  /** The step's newest record; undefined when it never began. */
  step(name: string): StepRow | undefined {
    return this.#steps.get(name);
  }

  /** False when the last commit found no signal for the operation. */
  get signalled(): boolean {
    return this.#signalled;
  }

  /** Results by step name. With `undone`, also those of steps that were undone since. */
  outputs(options: { undone: boolean }): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    for (const row of this.#steps.values()) {
      if (row.output !== null && (options.undone || row.state === "done")) out[row.step] = JSON.parse(row.output);
    }
    return out;
  }

  /**
   * One transaction that fails with LeaseLost unless this lease still holds. The in-memory copy follows the commit;
   * `op.cancelled` is fresh inside `write` already, because the guard locks the row.
   */
  async commit<T>(patch: OperationPatch, write: (t: Tx, steps: StepWriter) => Promise<T>): Promise<T> {
    const now = this.#clock.now();
    const writer = new StepWriter(this.op, now);
    const columns = Object.keys(patch) as (keyof OperationPatch)[];
    const result = await this.#store.tx(async (t) => {
      writer.reset();
      const guarded = await guard(columns).first(t, { ...patch, id: this.op.id, epoch: this.op.epoch, now });
      if (!guarded) throw new LeaseLost();
      this.op.cancelled = guarded.cancelled;
      this.#signalled = Boolean(guarded.signalled);
      const value = await write(t, writer);
      await writer.flush(t);
      if (patch.finished_at !== undefined && patch.finished_at !== null) await releaseSlots(t, this.op.id, now);
      t.notify(CHANGED_CHANNEL, this.op.id);
      return value;
    });
    Object.assign(this.op, patch);
    for (const row of writer.rows) this.#steps.set(row.step, row);
    return result;
  }

  /** Reads the control flags and signals that others may have written. */
  async control(): Promise<{
    owned: boolean;
    cancelled: boolean;
    signals: { id: string; name: string; payload: Json }[];
  }> {
    return await readControl(this.#store.read, this.op);
  }
}

async function readControl(q: Queries, op: OperationRow) {
  const row = await controlOf.first(q, { id: op.id });
  const signals = await signalsOf.all(q, { id: op.id });
  return {
    owned: row !== undefined && row.epoch === op.epoch && row.state === "running",
    cancelled: row?.cancelled === 1,
    signals: signals.map((s) => ({ id: s.id, name: s.name, payload: JSON.parse(s.payload) as Json })),
  };
}

/** Collects the step records of one commit. */
export class StepWriter {
  readonly rows: StepRow[] = [];
  readonly #op: OperationRow;
  readonly #now: number;

  constructor(op: OperationRow, now: number) {
    this.#op = op;
    this.#now = now;
  }

  /** A transaction may be tried again by the store. */
  reset(): void {
    this.rows.length = 0;
  }

  begin(step: AnyStep, position: number, earlier: StepRow | undefined, event: EventFields): void {
    const again = earlier && earlier.state === "started" ? earlier : undefined;
    this.rows.push({
      ...this.#blank(step.name, position, event),
      state: "started",
      attempts: (again?.attempts ?? 0) + 1,
      started_at: again?.started_at ?? this.#now,
    });
  }

  done(step: AnyStep, position: number, earlier: StepRow | undefined, output: unknown, event: EventFields): void {
    this.rows.push({
      ...this.#blank(step.name, position, event),
      state: "done",
      output: output === undefined ? null : JSON.stringify(output),
      attempts: earlier?.state === "started" ? earlier.attempts : 1,
      started_at: earlier?.state === "started" ? earlier.started_at : this.#now,
      finished_at: this.#now,
    });
  }

  skipped(step: AnyStep, position: number): void {
    const none = { event: null, event_host: null, request_id: null };
    this.rows.push({ ...this.#blank(step.name, position, none), state: "skipped", finished_at: this.#now });
  }

  /** The step goes on being `started`, with the reason of its failure. */
  failed(row: StepRow, fault: PublicFault): void {
    this.rows.push({ ...row, fault: JSON.stringify(fault), finished_at: this.#now });
  }

  /** A transaction that failed has left nothing to undo but the news of it. */
  refused(step: AnyStep, position: number, fault: PublicFault, event: EventFields): void {
    const blank = this.#blank(step.name, position, event);
    this.rows.push({ ...blank, state: "undone", fault: JSON.stringify(fault), finished_at: this.#now });
  }

  undone(row: StepRow): void {
    this.rows.push({ ...row, state: "undone", finished_at: row.finished_at ?? this.#now });
  }

  async flush(t: Tx): Promise<void> {
    for (const row of this.rows) await writeStep.all(t, row);
  }

  #blank(step: string, position: number, event: EventFields): StepRow {
    return {
      operation_id: this.#op.id,
      run: this.#op.run,
      position,
      step,
      state: "started",
      output: null,
      attempts: 1,
      fault: null,
      started_at: this.#now,
      finished_at: null,
      ...event,
    };
  }
}

export interface EventFields {
  event: string | null;
  event_host: string | null;
  request_id: string | null;
}
