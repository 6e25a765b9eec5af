import { CloudError, publicFault } from "../errors/cloud-error.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import type { Tx } from "../store/store.ts";
import { CHANGED_CHANNEL, CONTROL_CHANNEL, DUE_CHANNEL } from "./channels.ts";
import type { AnyOperation, AnyStep, Json, StepContext } from "./definition.ts";
import { EffectRun } from "./effect-run.ts";
import type { ExecutionEnvironment } from "./environment.ts";
import { Crash, type HookPoint } from "./hooks.ts";
import { type Journal, LeaseLost, type StepWriter } from "./journal.ts";
import { retryDelayMs, STUCK_AFTER_ATTEMPTS } from "./retry.ts";
import type { OperationPatch } from "./statements.ts";
import type { OperationTables } from "./tables.ts";

/**
 * The work of a step failed. Everything else that goes wrong (the database is away, a commit has no answer) is not
 * the step's failure: the operation is then left to its lease, and whoever claims it next reads the journal afresh.
 */
export class StepError extends Error {
  override readonly name = "StepError";

  constructor(cause: unknown) {
    super("the step failed", { cause });
  }
}

/** Runs what a definition supplies; its errors become StepErrors. */
export async function supplied<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Crash || error instanceof LeaseLost) throw error;
    throw new StepError(error);
  }
}

/** What going forward and undoing have in common: the journal, the effect at work, the hooks. */
export class ExecutionScope {
  readonly env: ExecutionEnvironment;
  readonly definition: AnyOperation;
  readonly journal: Journal;
  readonly log: Logger;
  #running: EffectRun | undefined;
  #stopped = false;

  constructor(env: ExecutionEnvironment, definition: AnyOperation, journal: Journal) {
    this.env = env;
    this.definition = definition;
    this.journal = journal;
    const { id, name, resource_id, request_id } = journal.op;
    this.log = env.log.with({ operation: id, kind: name, resource: resource_id, request: request_id });
  }

  /** Something about the operation changed in the store: cancel, fencing, signals. */
  async controlChanged(): Promise<void> {
    const run = this.#running;
    if (!run) return;
    const control = await this.journal.control();
    this.#pass(control, run);
  }

  /** Nothing more may be done under this lease. */
  stop(): void {
    this.#stopped = true;
    this.#running?.abort(new LeaseLost());
  }

  /**
   * Prepares one call of an effect or its undo; `attempt` is how often that was tried before. Known before its start is
   * journaled, so that whatever reaches the operation after that commit finds it.
   */
  newRun(step: AnyStep, phase: "do" | "undo", attempt: number): EffectRun {
    const run = new EffectRun({
      env: this.env,
      log: this.log.with({ step: step.name, phase }),
      journal: this.journal,
      step,
      phase,
      attempt,
    });
    this.#running = run;
    return run;
  }

  /** The host that the step called, when it is the one at work. */
  calledHost(step: AnyStep): string | null {
    return this.#running?.step === step ? this.#running.calledHost : null;
  }

  /** Tells the run what was there already when the last commit locked the operation. */
  async brief(run: EffectRun): Promise<void> {
    const { journal } = this;
    if (this.#stopped) throw new LeaseLost();
    if (journal.signalled) this.#pass(await journal.control(), run);
    else this.#pass({ owned: true, cancelled: journal.op.cancelled === 1, signals: [] }, run);
  }

  /** As `brief`, when nothing was committed since the run is known. */
  async lookAndBrief(run: EffectRun): Promise<void> {
    if (this.#stopped) throw new LeaseLost();
    this.#pass(await this.journal.control(), run);
  }

  #pass(control: Awaited<ReturnType<Journal["control"]>>, run: EffectRun): void {
    if (!control.owned) {
      run.abort(new LeaseLost());
      return;
    }
    run.deliver(control.signals);
    if (control.cancelled && run.phase === "do" && !run.step.pivoted) run.abort(cancelledError());
  }

  async commit<T>(patch: OperationPatch, write: (t: Tx, writer: StepWriter) => Promise<T>): Promise<T> {
    if (this.#stopped) throw new LeaseLost();
    return await this.journal.commit(patch, write);
  }

  /** As `commit`, where `write` holds work of the definition. The store may repeat it, so it must see the error unwrapped. */
  async commitSupplied<T>(patch: OperationPatch, write: (t: Tx, writer: StepWriter) => Promise<T>): Promise<T> {
    let failure: { error: unknown } | undefined;
    try {
      return await this.commit(patch, async (t, writer) => {
        failure = undefined;
        try {
          return await write(t, writer);
        } catch (error) {
          failure = { error };
          throw error;
        }
      });
    } catch (error) {
      const itsOwn = failure !== undefined && failure.error === error;
      if (!itsOwn || error instanceof Crash || error instanceof LeaseLost) throw error;
      throw new StepError(error);
    }
  }

  /** The last try of `step` failed: tries again after a growing pause, and shows the operation as stuck after many. */
  async pause(step: AnyStep, error: unknown): Promise<void> {
    const attempts = this.journal.op.attempts + 1;
    const stuck = attempts >= STUCK_AFTER_ATTEMPTS;
    const retryInMs = retryDelayMs(attempts);
    this.log[stuck ? "error" : "warn"](
      { step: step.name, direction: this.journal.op.direction, attempts, retryInMs, ...errorFields(error) },
      stuck ? "operation is stuck" : "step will be tried again",
    );
    const patch: OperationPatch = {
      state: stuck ? "stuck" : "ready",
      run_at: this.env.clock.now() + retryInMs,
      attempts,
      trouble: JSON.stringify(publicFault(error)),
      step: step.name,
    };
    await this.commit(patch, (t) => this.noticeCancel(t, step));
  }

  /** Inside a commit that parks the operation: makes it due at once after all when it was cancelled meanwhile. */
  async noticeCancel(t: Tx, step: AnyStep): Promise<void> {
    const { op } = this.journal;
    if (op.cancelled === 1 && op.direction === "forward" && !step.pivoted) await this.makeDue(t);
  }

  /** Inside a commit that parks the operation: makes it due at once after all. */
  async makeDue(t: Tx): Promise<void> {
    await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({ run_at: this.env.clock.now(), state: "ready" })
      .where("id", "=", this.journal.op.id)
      .execute();
    t.notify(DUE_CHANNEL, "");
    t.notify(CONTROL_CHANNEL, this.journal.op.id);
    t.notify(CHANGED_CHANNEL, this.journal.op.id);
  }

  finished(state: "done" | "undone"): OperationPatch {
    const common: OperationPatch = {
      state,
      run_at: null,
      wait_signals: null,
      wait_slot: null,
      trouble: null,
      finished_at: this.env.clock.now(),
    };
    return state === "done" ? { ...common, percent: 100, fault: null } : common;
  }

  context(out: Record<string, unknown>): StepContext<unknown, unknown> {
    const { op } = this.journal;
    return {
      input: JSON.parse(op.input),
      out,
      operation: {
        id: op.id,
        name: op.name,
        resourceId: op.resource_id,
        projectId: op.project_id,
        userId: op.user_id,
        requestId: op.request_id,
        epoch: op.epoch,
        createdAt: op.created_at,
      },
      memo: JSON.parse(op.memo) as Record<string, Json>,
    };
  }

  hook(step: AnyStep, phase: HookPoint["phase"], when: HookPoint["when"]): void {
    this.env.hook?.({
      operation: this.definition.name,
      operationId: this.journal.op.id,
      step: step.name,
      phase,
      when,
    });
  }
}

export function cancelledError(): CloudError {
  return new CloudError("conflict", "operation.cancelled", "The operation was cancelled.");
}

export const nothing = async (): Promise<void> => {};
