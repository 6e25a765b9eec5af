import { CloudError, type PublicFault, publicFault } from "../errors/cloud-error.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import type { Tx } from "../store/store.ts";
import {
  type AnyOperation,
  type AnyStep,
  type Json,
  type OperationInfo,
  Redo,
  type StepContext,
  Wait,
} from "./definition.ts";
import { EffectRun } from "./effect-run.ts";
import { type ExecutionEnvironment, percentWithin } from "./environment.ts";
import { Crash, type HookPoint } from "./hooks.ts";
import { type EventFields, type Journal, LeaseLost, type OperationPatch, type StepWriter } from "./journal.ts";
import { retryDelayMs, STUCK_AFTER_ATTEMPTS } from "./retry.ts";
import { takeSlot } from "./slots.ts";
import type { StepRow } from "./tables.ts";

/** How long an operation waits for a slot before it looks again by itself; normally the slot's holder wakes it. */
const SLOT_RECHECK_MS = 30_000;
const DEFAULT_MAX_ATTEMPTS = 5;

/** Moves one claimed operation as far as it goes: to its end, to a wait, to a retry, or until the lease is lost. */
export class Execution {
  readonly #env: ExecutionEnvironment;
  readonly #definition: AnyOperation;
  readonly #journal: Journal;
  readonly #log: Logger;
  #skipped: { step: AnyStep; position: number }[] = [];
  #running: EffectRun | undefined;
  #cancelled: boolean;

  constructor(env: ExecutionEnvironment, definition: AnyOperation, journal: Journal) {
    this.#env = env;
    this.#definition = definition;
    this.#journal = journal;
    this.#cancelled = journal.op.cancelled === 1;
    const { id, name, resource_id, request_id } = journal.op;
    this.#log = env.log.with({ operation: id, kind: name, resource: resource_id, request: request_id });
  }

  async run(): Promise<void> {
    try {
      for (;;) {
        const again = this.#journal.op.direction === "forward" ? await this.#forward() : await this.#unwind();
        if (!again) return;
      }
    } catch (error) {
      if (error instanceof Crash || error instanceof LeaseLost) return;
      throw error;
    } finally {
      this.#running?.close();
    }
  }

  /** Something about the operation changed in the store: cancel, fencing, signals. */
  async controlChanged(): Promise<void> {
    const control = await this.#journal.control();
    if (!control.owned) {
      this.#running?.abort(new LeaseLost());
      return;
    }
    this.#running?.deliver(control.signals);
    if (control.cancelled && !this.#cancelled) {
      this.#cancelled = true;
      if (this.#running && !this.#running.step.pivoted && this.#running.phase === "do")
        this.#running.abort(cancelledError());
    }
  }

  /** The runner can no longer renew the lease. */
  leaseLost(): void {
    this.#running?.abort(new LeaseLost());
  }

  /** True when the direction changed and there is more to do. */
  async #forward(): Promise<boolean> {
    const { steps } = this.#definition;
    for (const [position, step] of steps.entries()) {
      const row = this.#journal.step(step.name);
      if (row?.state === "done" || row?.state === "skipped") continue;
      if (this.#cancelled && !step.pivoted) return await this.#beginUnwind(step, row, publicFault(cancelledError()));
      if (row?.state !== "started" && step.common.when && !step.common.when(this.#context(false))) {
        this.#skipped.push({ step, position });
        continue;
      }
      try {
        const moved = step.kind === "tx" ? await this.#doTx(step, position) : await this.#doEffect(step, position, row);
        if (!moved) return false;
      } catch (error) {
        if (error instanceof LeaseLost || error instanceof Crash) throw error;
        return await this.#stepFailed(step, error);
      }
    }
    if (this.#journal.op.finished_at === null) await this.#commit(this.#finished("done"), nothing);
    return false;
  }

  async #doTx(step: AnyStep, position: number): Promise<boolean> {
    this.#hook(step, "do", "before");
    const context = this.#context(false);
    const last = position === this.#definition.steps.length - 1;
    await this.#commit(
      { ...this.#progressPatch(step), attempts: 0, ...(last ? this.#finished("done") : {}) },
      async (t, writer) => {
        const output = await step.tx?.tx(t, context);
        this.#hook(step, "do", "worked");
        writer.done(step, position, undefined, output, this.#event(step, context));
      },
    );
    this.#hook(step, "do", "journaled");
    return true;
  }

  async #doEffect(step: AnyStep, position: number, row: StepRow | undefined): Promise<boolean> {
    const effect = step.effect;
    if (!effect) throw new Error(`step ${step.name} has no effect`);
    const context = this.#context(false);
    const slot = effect.slot?.(context);
    const started = await this.#commit(
      { ...this.#progressPatch(step), wait_signals: null, wait_slot: null },
      async (t, writer) => {
        if (slot && !(await takeSlot(t, this.#journal.op.id, slot))) return false;
        writer.begin(step, position, row, this.#event(step, context));
        return true;
      },
    );
    if (!started && slot) {
      await this.#commit(
        { state: "waiting", run_at: this.#env.clock.now() + SLOT_RECHECK_MS, wait_slot: slot.key },
        nothing,
      );
      return false;
    }
    const attempt = (this.#journal.step(step.name)?.attempts ?? 1) - 1;
    const run = await this.#openRun(step, "do", attempt);
    this.#hook(step, "do", "before");
    const result = await run.finish(() => effect.effect(run.context, context));
    this.#hook(step, "do", "worked");
    if (result instanceof Wait) {
      await this.#park(step, result, run);
      return false;
    }
    const last = position === this.#definition.steps.length - 1;
    const span = step.common.span;
    const patch = {
      attempts: 0,
      fault: null,
      ...(span ? { percent: span[1] } : {}),
      ...(last ? this.#finished("done") : {}),
    };
    await this.#commit(patch, async (t, writer) => {
      await run.consumeSignals(t);
      writer.done(step, position, this.#journal.step(step.name), result, this.#event(step, context));
    });
    this.#hook(step, "do", "journaled");
    return true;
  }

  async #openRun(step: AnyStep, phase: "do" | "undo", attempt: number): Promise<EffectRun> {
    const control = await this.#journal.control();
    if (!control.owned) throw new LeaseLost();
    const run = new EffectRun({
      env: this.#env,
      log: this.#log.with({ step: step.name, phase }),
      journal: this.#journal,
      step,
      phase,
      attempt,
    });
    run.deliver(control.signals);
    this.#running = run;
    if (control.cancelled) this.#cancelled = true;
    if (this.#cancelled && phase === "do" && !step.pivoted) run.abort(cancelledError());
    return run;
  }

  /** A signal that arrived between the step's last look and this commit must not be slept over. */
  async #park(step: AnyStep, wait: Wait, run: EffectRun): Promise<void> {
    const patch: OperationPatch = {
      state: "waiting",
      run_at: wait.untilMs,
      wait_signals: JSON.stringify(wait.signals),
      attempts: 0,
      ...(wait.percent === null ? {} : { percent: percentWithin(step, wait.percent) }),
    };
    await this.#commit(patch, nothing);
    await run.wakeIfSignalled(wait.signals);
  }

  async #stepFailed(step: AnyStep, error: unknown): Promise<boolean> {
    const row = this.#journal.step(step.name);
    if (error instanceof Redo && !step.pivoted) {
      this.#log.info(
        { step: step.name, from: error.step, reason: error.fault.message },
        "trying again from an earlier step",
      );
      const memo = JSON.stringify({ ...(JSON.parse(this.#journal.op.memo) as object), ...error.memo });
      return await this.#turn({ direction: "undo", unwind_to: error.step, memo, attempts: 0 }, row, error.fault);
    }
    const fault = publicFault(error);
    const cancelled = this.#cancelled && !step.pivoted;
    const attempts = this.#journal.op.attempts + 1;
    const retryable = error instanceof CloudError && error.retryable;
    const maxAttempts = step.effect?.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    if (!cancelled && (step.pivoted || (retryable && attempts < maxAttempts))) {
      await this.#retryLater(step, error, attempts);
      return false;
    }
    this.#log[retryable || error instanceof CloudError ? "warn" : "error"](
      { step: step.name, ...errorFields(error) },
      "step failed; undoing",
    );
    return await this.#beginUnwind(step, row, fault);
  }

  async #retryLater(step: AnyStep, error: unknown, attempts: number): Promise<void> {
    const stuck = attempts >= STUCK_AFTER_ATTEMPTS;
    const delay = retryDelayMs(attempts);
    this.#log[stuck ? "error" : "warn"](
      { step: step.name, attempts, retryInMs: delay, ...errorFields(error) },
      stuck ? "operation is stuck" : "step will be tried again",
    );
    const patch: OperationPatch = {
      state: stuck ? "stuck" : "ready",
      run_at: this.#env.clock.now() + delay,
      attempts,
      fault: JSON.stringify(publicFault(error)),
    };
    await this.#commit(patch, nothing);
  }

  async #beginUnwind(step: AnyStep, row: StepRow | undefined, fault: PublicFault): Promise<boolean> {
    return await this.#turn(
      { direction: "undo", unwind_to: null, fault: JSON.stringify(fault), attempts: 0, step: step.name },
      row,
      fault,
    );
  }

  async #turn(patch: OperationPatch, row: StepRow | undefined, fault: PublicFault): Promise<boolean> {
    await this.#commit(patch, async (_t, writer) => {
      if (row?.state === "started") writer.failed(row, fault);
    });
    return true;
  }

  async #unwind(): Promise<boolean> {
    const { op } = this.#journal;
    const { steps } = this.#definition;
    for (const [position, step] of [...steps.entries()].reverse()) {
      const row = this.#journal.step(step.name);
      if (row?.state === "started" || row?.state === "done") {
        try {
          await this.#undoStep(step, row);
        } catch (error) {
          if (error instanceof LeaseLost || error instanceof Crash) throw error;
          await this.#undoFailed(step, error);
          return false;
        }
      }
      if (op.unwind_to === steps[position]?.name) return await this.#goForwardAgain();
    }
    const context = this.#context(true);
    const fault = op.fault ? (JSON.parse(op.fault) as PublicFault) : publicFault(undefined);
    await this.#commit(this.#finished("undone"), async (t) => {
      await this.#definition.onFailed?.(t, context, { fault, cancelled: this.#cancelled });
    });
    return false;
  }

  async #undoStep(step: AnyStep, row: StepRow): Promise<void> {
    const context = this.#context(false, step);
    this.#hook(step, "undo", "before");
    if (step.effect?.undo) {
      const { undo } = step.effect;
      const run = await this.#openRun(step, "undo", this.#journal.op.attempts);
      await run.finish(() => undo(run.context, context));
    }
    await this.#commit({ step: step.name, attempts: 0 }, async (t, writer) => {
      await step.tx?.undoTx?.(t, context);
      this.#hook(step, "undo", "worked");
      writer.undone(row);
    });
    this.#hook(step, "undo", "journaled");
  }

  async #undoFailed(step: AnyStep, error: unknown): Promise<void> {
    const attempts = this.#journal.op.attempts + 1;
    const stuck = attempts >= STUCK_AFTER_ATTEMPTS;
    const delay = retryDelayMs(attempts);
    this.#log[stuck ? "error" : "warn"](
      { step: step.name, attempts, retryInMs: delay, ...errorFields(error) },
      stuck ? "undo is stuck" : "undo will be tried again",
    );
    await this.#commit({ state: stuck ? "stuck" : "ready", run_at: this.#env.clock.now() + delay, attempts }, nothing);
  }

  async #goForwardAgain(): Promise<boolean> {
    const { op } = this.#journal;
    await this.#commit({ direction: "forward", unwind_to: null, run: op.run + 1, fault: null, attempts: 0 }, nothing);
    return true;
  }

  async #commit<T>(patch: OperationPatch, write: (t: Tx, writer: StepWriter) => Promise<T>): Promise<T> {
    const skipped = this.#skipped;
    this.#skipped = [];
    return await this.#journal.commit(patch, async (t, writer) => {
      for (const skip of skipped) writer.skipped(skip.step, skip.position);
      return await write(t, writer);
    });
  }

  #finished(state: "done" | "undone"): OperationPatch {
    const common = { state, run_at: null, wait_signals: null, wait_slot: null, finished_at: this.#env.clock.now() };
    return state === "done" ? { ...common, percent: 100, fault: null } : common;
  }

  /** For an undo, only what steps before `until` returned: a crash may have lost the step's own result. */
  #context(undone: boolean, until?: AnyStep): StepContext<unknown, unknown> {
    const { op } = this.#journal;
    const out = this.#journal.outputs({ undone });
    if (until) {
      const names = this.#definition.steps.map((s) => s.name);
      for (const name of names.slice(names.indexOf(until.name))) delete out[name];
    }
    return {
      input: JSON.parse(op.input),
      out,
      operation: infoOf(op),
      memo: JSON.parse(op.memo) as Record<string, Json>,
    };
  }

  #event(step: AnyStep, context: StepContext<unknown, unknown>): EventFields {
    const { event, eventHost, requestId } = step.common;
    return {
      event: event ?? null,
      event_host: eventHost?.(context) ?? null,
      request_id: requestId ? requestId(context) : this.#journal.op.request_id,
    };
  }

  #progressPatch(step: AnyStep): OperationPatch {
    const span = step.common.span;
    return { step: step.name, ...(span && this.#journal.op.percent < span[0] ? { percent: span[0] } : {}) };
  }

  #hook(step: AnyStep, phase: HookPoint["phase"], when: HookPoint["when"]): void {
    this.#env.hook?.({
      operation: this.#definition.name,
      operationId: this.#journal.op.id,
      step: step.name,
      phase,
      when,
    });
  }
}

const nothing = async (): Promise<void> => {};

function cancelledError(): CloudError {
  return new CloudError("conflict", "operation.cancelled", "The operation was cancelled.");
}

function infoOf(op: Journal["op"]): OperationInfo {
  return {
    id: op.id,
    name: op.name,
    resourceId: op.resource_id,
    projectId: op.project_id,
    userId: op.user_id,
    requestId: op.request_id,
    epoch: op.epoch,
    createdAt: op.created_at,
  };
}
