import { CloudError, type PublicFault, publicFault } from "../errors/cloud-error.ts";
import { errorFields } from "../log/logger.ts";
import type { Tx } from "../store/store.ts";
import { type AnyStep, Redo, type StepContext, Wait } from "./definition.ts";
import type { EffectRun } from "./effect-run.ts";
import { percentPatch } from "./environment.ts";
import { cancelledError, type ExecutionScope, nothing, StepError, supplied } from "./execution-scope.ts";
import type { EventFields, StepWriter } from "./journal.ts";
import { takeSlot } from "./slots.ts";
import type { OperationPatch } from "./statements.ts";
import type { OperationTables, StepRow } from "./tables.ts";

/** How long an operation waits for a slot before it looks again by itself; normally the slot's holder wakes it. */
const SLOT_RECHECK_MS = 30_000;
const DEFAULT_MAX_ATTEMPTS = 5;

interface Placed {
  readonly step: AnyStep;
  readonly position: number;
}

/** An effect that is journaled as started by the commit of the step before it: one fsync for both. */
interface Next extends Placed {
  readonly run: EffectRun;
  readonly skipped: readonly Placed[];
  readonly event: EventFields;
}

/** A cancel came between two steps: the first is journaled, the second must not start. */
class CancelledBetween extends Error {
  override readonly name = "CancelledBetween";
}

/** Carries out the steps that are not done yet, in order. */
export class Forward {
  readonly #scope: ExecutionScope;
  /** Decided, and journaled with the next commit. */
  #skipped: Placed[] = [];
  /** The effect whose start is journaled already. */
  #begun: EffectRun | undefined;

  constructor(scope: ExecutionScope) {
    this.#scope = scope;
  }

  /** True when the operation has to be undone now; false when it has ended or was parked. */
  async run(): Promise<boolean> {
    const { journal, definition } = this.#scope;
    for (const [position, step] of definition.steps.entries()) {
      const row = journal.step(step.name);
      if (row?.state === "done" || row?.state === "skipped") continue;
      if (journal.op.cancelled === 1 && journal.op.cancellable === 1) {
        return await this.#turnBack(step, publicFault(cancelledError()), false);
      }
      try {
        if (!(await this.#enter(step, position, row))) return false;
      } catch (error) {
        if (error instanceof StepError) return await this.#stepFailed(step, error.cause);
        throw error;
      }
    }
    if (journal.op.finished_at === null) await this.#commit(this.#scope.finished("done"), nothing);
    return false;
  }

  /** What a commit that starts `step` changes of the operation: the pivot is passed once a step behind it has started. */
  #passing(step: AnyStep): OperationPatch {
    return step.pivoted ? { cancellable: 0 } : {};
  }

  /** Inside that commit: a cancel that was accepted before it must still turn the operation back. */
  #demandNotCancelled(step: AnyStep): void {
    const { op } = this.#scope.journal;
    if (step.pivoted && op.cancellable === 1 && op.cancelled === 1) throw cancelledError();
  }

  /** False when the operation was parked. */
  async #enter(step: AnyStep, position: number, row: StepRow | undefined): Promise<boolean> {
    const context = this.#scope.context(this.#scope.journal.outputs({ undone: false }));
    const wanted = row?.state === "started" || (await supplied(() => step.common.when?.(context) ?? true));
    if (!wanted) {
      this.#skipped.push({ step, position });
      return true;
    }
    const last = position === this.#scope.definition.steps.length - 1;
    const ending = () => (last ? this.#scope.finished("done") : {});
    if (step.kind === "tx") {
      await this.#doTx(step, position, context, ending);
      return true;
    }
    return await this.#doEffect(step, position, context, ending);
  }

  async #doTx(
    step: AnyStep,
    position: number,
    context: StepContext<unknown, unknown>,
    ending: () => OperationPatch,
  ): Promise<void> {
    await supplied(() => this.#scope.hook(step, "do", "before"));
    const patch = {
      step: step.name,
      ...percentPatch(step, 100),
      attempts: 0,
      trouble: null,
      ...this.#passing(step),
      ...ending(),
    };
    await this.#commitDone(patch, this.#next(position), async (t, writer) => {
      this.#demandNotCancelled(step);
      const output = await step.tx?.tx(t, context);
      this.#scope.hook(step, "do", "worked");
      writer.done(step, position, undefined, output, this.#event(step, context));
    });
    this.#scope.hook(step, "do", "journaled");
  }

  async #doEffect(
    step: AnyStep,
    position: number,
    context: StepContext<unknown, unknown>,
    ending: () => OperationPatch,
  ): Promise<boolean> {
    const { effect } = step;
    if (!effect) throw new Error(`step ${step.name} has no effect`);
    const { journal } = this.#scope;
    let run = this.#begun;
    this.#begun = undefined;
    if (run?.step !== step) {
      run = this.#newRun(step);
      if (!(await this.#begin(step, position, context))) return false;
    }
    await this.#scope.brief(run);
    const opened = run;
    const result = await supplied(async () => {
      this.#scope.hook(step, "do", "before");
      const value = await opened.finish(() => effect.effect(opened.context, context));
      this.#scope.hook(step, "do", "worked");
      return value;
    });
    if (result instanceof Wait) {
      await this.#park(step, result, opened);
      return false;
    }
    const patch = { attempts: 0, trouble: null, ...percentPatch(step, 100), ...ending() };
    await this.#commitDone(patch, this.#next(position, result), async (t, writer) => {
      await opened.consumeSignals(t);
      const event = this.#event(step, context);
      const called = { ...event, event_host: event.event_host ?? opened.calledHost };
      writer.done(step, position, journal.step(step.name), result, called);
    });
    this.#scope.hook(step, "do", "journaled");
    return true;
  }

  /** Journals the start; false when the step needs a slot and waits for it. */
  async #begin(step: AnyStep, position: number, context: StepContext<unknown, unknown>): Promise<boolean> {
    const { journal, env } = this.#scope;
    const slot = await supplied(() => step.effect?.slot?.(context));
    return await this.#commitSupplied(this.#beginning(step), async (t, writer) => {
      this.#demandNotCancelled(step);
      if (!slot || (await takeSlot(t, journal.op.id, slot))) {
        writer.begin(step, position, journal.step(step.name), this.#event(step, context));
        return true;
      }
      await t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({ state: "waiting", run_at: env.clock.now() + SLOT_RECHECK_MS, wait_slot: slot.key })
        .where("id", "=", journal.op.id)
        .execute();
      await this.#scope.noticeCancel(t, step);
      return false;
    });
  }

  /** What starting an effect changes of the operation. */
  #beginning(step: AnyStep): OperationPatch {
    const span = step.common.span;
    const arriving = span && this.#scope.journal.op.percent < span[0] ? percentPatch(step, 0) : {};
    return { step: step.name, ...arriving, wait_signals: null, wait_slot: null, ...this.#passing(step) };
  }

  #newRun(step: AnyStep): EffectRun {
    const row = this.#scope.journal.step(step.name);
    return this.#scope.newRun(step, "do", row?.state === "started" ? row.attempts : 0);
  }

  /**
   * The effect that can be started together with the end of the step at `position`, which returned `result`; for a
   * transaction that is not known beforehand. One that waits for a slot starts by itself.
   */
  #next(position: number, ...result: [] | [unknown]): Next | undefined {
    const { journal, definition } = this.#scope;
    if (journal.op.cancelled === 1 && journal.op.cancellable === 1) return undefined;
    const skipped: Placed[] = [];
    try {
      const context = this.#contextAfter(position, result);
      for (const [at, step] of definition.steps.entries()) {
        if (at <= position) continue;
        const { when, eventHost, requestId } = step.common;
        const decided = context !== undefined || !(when || eventHost || requestId);
        if (step.kind === "tx" || step.effect?.slot || !decided) return undefined;
        if (context && when && !when(context)) skipped.push({ step, position: at });
        else return { step, position: at, skipped, run: this.#newRun(step), event: this.#event(step, context) };
      }
    } catch {
      // What the definition throws is the next step's failure, and comes up again when its turn has come.
    }
    return undefined;
  }

  /** What the steps behind it will see, as it comes out of the journal. */
  #contextAfter(position: number, result: [] | [unknown]): StepContext<unknown, unknown> | undefined {
    if (result.length === 0) return undefined;
    const { journal, definition } = this.#scope;
    const out = journal.outputs({ undone: false });
    const name = definition.steps[position]?.name;
    if (name !== undefined && result[0] !== undefined) out[name] = JSON.parse(JSON.stringify(result[0]));
    return this.#scope.context(out);
  }

  /** Journals the end of a step, and the start of the next with it. */
  async #commitDone(patch: OperationPatch, next: Next | undefined, write: Write<void>): Promise<void> {
    const { journal } = this.#scope;
    if (!next) return await this.#commitSupplied(patch, write);
    try {
      await this.#commitSupplied({ ...patch, ...this.#beginning(next.step) }, async (t, writer) => {
        if (journal.op.cancelled === 1 && journal.op.cancellable === 1) throw new CancelledBetween();
        await write(t, writer);
        for (const skip of next.skipped) writer.skipped(skip.step, skip.position);
        writer.begin(next.step, next.position, journal.step(next.step.name), next.event);
      });
      this.#begun = next.run;
    } catch (error) {
      if (!(error instanceof StepError) || !(error.cause instanceof CancelledBetween)) throw error;
      await this.#commitSupplied(patch, write);
    }
  }

  /** A signal that arrived after the step's last look must not be slept over, nor a cancel. */
  async #park(step: AnyStep, wait: Wait, run: EffectRun): Promise<void> {
    const patch: OperationPatch = {
      state: "waiting",
      run_at: wait.untilMs,
      wait_signals: JSON.stringify(wait.signals),
      attempts: 0,
      trouble: null,
      ...(wait.percent === null ? {} : percentPatch(step, wait.percent)),
    };
    await this.#commit(patch, async (t) => {
      if (await run.hasUnseen(t, wait.signals)) await this.#scope.makeDue(t);
      else await this.#scope.noticeCancel(t, step);
    });
  }

  async #stepFailed(step: AnyStep, error: unknown): Promise<boolean> {
    const { journal, log } = this.#scope;
    if (error instanceof Redo && !step.pivoted) {
      log.info({ step: step.name, from: error.step, reason: error.fault.message }, "trying again from an earlier step");
      const memo = JSON.stringify({ ...(JSON.parse(journal.op.memo) as object), ...error.memo });
      return await this.#turnBack(step, error.fault, true, { unwind_to: error.step, memo });
    }
    const cancelled = journal.op.cancelled === 1 && journal.op.cancellable === 1;
    if (step.pivoted && cancelled) return await this.#turnBack(step, publicFault(cancelledError()), false);
    const retryable = error instanceof CloudError && error.retryable;
    const triesLeft = journal.op.attempts + 1 < (step.effect?.maxAttempts ?? DEFAULT_MAX_ATTEMPTS);
    if (step.pivoted || (retryable && triesLeft && !cancelled)) {
      await this.#scope.pause(step, error);
      return false;
    }
    log[error instanceof CloudError ? "warn" : "error"](
      { step: step.name, ...errorFields(error) },
      "step failed; undoing",
    );
    return await this.#turnBack(step, publicFault(cancelled ? cancelledError() : error), true);
  }

  /** `failed`: the step was tried. */
  async #turnBack(step: AnyStep, fault: PublicFault, failed: boolean, more: OperationPatch = {}): Promise<true> {
    const { definition, journal } = this.#scope;
    const row = journal.step(step.name);
    const patch: OperationPatch = {
      direction: "undo",
      unwind_to: null,
      fault: JSON.stringify(fault),
      trouble: null,
      attempts: 0,
      step: step.name,
      wait_signals: null,
      wait_slot: null,
      ...more,
    };
    await this.#commit(patch, async (_t, writer) => {
      if (row?.state === "started")
        writer.failed({ ...row, event_host: row.event_host ?? this.#scope.calledHost(step) }, fault);
      else if (failed && step.kind === "tx" && step.common.event !== undefined) {
        const event = this.#event(step, this.#scope.context(journal.outputs({ undone: false })));
        writer.refused(step, definition.steps.indexOf(step), fault, event);
      }
    });
    return true;
  }

  /** Without a context only for steps that need none. */
  #event(step: AnyStep, context: StepContext<unknown, unknown> | undefined): EventFields {
    const { event, eventHost, requestId } = step.common;
    return {
      event: event ?? null,
      event_host: (context && eventHost?.(context)) ?? null,
      request_id: context && requestId ? requestId(context) : this.#scope.journal.op.request_id,
    };
  }

  async #commit<T>(patch: OperationPatch, write: Write<T>): Promise<T> {
    const value = await this.#scope.commit(patch, this.#withSkips(write));
    this.#skipped = [];
    return value;
  }

  async #commitSupplied<T>(patch: OperationPatch, write: Write<T>): Promise<T> {
    const value = await this.#scope.commitSupplied(patch, this.#withSkips(write));
    this.#skipped = [];
    return value;
  }

  #withSkips<T>(write: Write<T>): Write<T> {
    return async (t, writer) => {
      for (const skip of this.#skipped) writer.skipped(skip.step, skip.position);
      return await write(t, writer);
    };
  }
}

type Write<T> = (t: Tx, writer: StepWriter) => Promise<T>;
