import { type PublicFault, publicFault } from "../errors/cloud-error.ts";
import type { AnyStep } from "./definition.ts";
import { type ExecutionScope, StepError, supplied } from "./execution-scope.ts";
import { releaseSlots } from "./slots.ts";
import type { StepRow } from "./tables.ts";

/** Undoes every step that has started, newest first: all of them, or for a Redo back to the step it names. */
export class Unwind {
  readonly #scope: ExecutionScope;

  constructor(scope: ExecutionScope) {
    this.#scope = scope;
  }

  /** True when the operation goes forward again; false when it has ended or was parked. */
  async run(): Promise<boolean> {
    const { journal, definition } = this.#scope;
    let current = definition.steps[0];
    try {
      for (const step of definition.steps.toReversed()) {
        current = step;
        const row = journal.step(step.name);
        if (row?.state === "started" || row?.state === "done") await this.#undo(step, row);
        if (journal.op.unwind_to === step.name) return await this.#goForwardAgain(step);
      }
      await this.#end();
    } catch (error) {
      if (!(error instanceof StepError) || !current) throw error;
      await this.#scope.pause(current, error.cause);
    }
    return false;
  }

  async #undo(step: AnyStep, row: StepRow): Promise<void> {
    const { journal, env } = this.#scope;
    const context = this.#scope.context(this.#outputsBefore(step));
    await supplied(() => this.#scope.hook(step, "undo", "before"));
    if (step.effect?.undo) {
      const { undo } = step.effect;
      const run = this.#scope.newRun(step, "undo", journal.op.attempts);
      await this.#scope.lookAndBrief(run);
      await supplied(() => run.finish(() => undo(run.context, context)));
    }
    await this.#scope.commitSupplied({ step: step.name, attempts: 0, trouble: null }, async (t, writer) => {
      await step.tx?.undoTx?.(t, context);
      this.#scope.hook(step, "undo", "worked");
      const slot = step.effect?.slot?.(context);
      if (slot) await releaseSlots(t, journal.op.id, env.clock.now(), slot.key);
      writer.undone(row);
    });
    this.#scope.hook(step, "undo", "journaled");
  }

  /** Only what earlier steps returned: a crash may have lost the step's own result. */
  #outputsBefore(step: AnyStep): Record<string, unknown> {
    const out = this.#scope.journal.outputs({ undone: false });
    const names = this.#scope.definition.steps.map((s) => s.name);
    for (const name of names.slice(names.indexOf(step.name))) delete out[name];
    return out;
  }

  /** What was skipped behind the target is decided anew. */
  async #goForwardAgain(target: AnyStep): Promise<true> {
    const { journal, definition } = this.#scope;
    const patch = {
      direction: "forward",
      unwind_to: null,
      run: journal.op.run + 1,
      fault: null,
      attempts: 0,
      percent: 0,
    } as const;
    await this.#scope.commit(patch, async (_t, writer) => {
      for (const step of definition.steps.slice(definition.steps.indexOf(target))) {
        const row = journal.step(step.name);
        if (row?.state === "skipped") writer.undone(row);
      }
    });
    return true;
  }

  async #end(): Promise<void> {
    const { journal, definition } = this.#scope;
    const { op } = journal;
    const context = this.#scope.context(journal.outputs({ undone: true }));
    const fault = op.fault ? (JSON.parse(op.fault) as PublicFault) : publicFault(undefined);
    await this.#scope.commitSupplied(this.#scope.finished("undone"), async (t) => {
      await definition.onFailed?.(t, context, { fault, cancelled: op.cancelled === 1 });
    });
  }
}
