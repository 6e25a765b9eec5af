import type { PublicFault } from "../errors/cloud-error.ts";
import type { Logger } from "../log/logger.ts";
import type { Queries, Tx } from "../store/store.ts";
import type { CommandCaller } from "./command-caller.ts";

/** Values that survive the journal. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** What every step sees. `out` has the results of earlier steps; a skipped step has none. */
export interface StepContext<Input, Out> {
  readonly input: Input;
  readonly out: Readonly<Out>;
  readonly operation: OperationInfo;
  /** Notes that survive a `Redo`, for example hosts already tried. */
  readonly memo: Readonly<Record<string, Json>>;
}

export interface OperationInfo {
  readonly id: string;
  readonly name: string;
  readonly resourceId: string;
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly requestId: string | null;
  readonly epoch: number;
  /** Epoch milliseconds. */
  readonly createdAt: number;
}

export interface ReceivedSignal {
  readonly name: string;
  readonly payload: Json;
}

/** The outside world as an effect step sees it. */
export interface EffectContext {
  /** Operation id and step: the same on every attempt. */
  readonly key: string;
  /** How often this step was started before, 0 for the first time. */
  readonly attempt: number;
  /** Committed state, for reading only. */
  readonly read: Queries;
  readonly log: Logger;
  /**
   * Aborted when the operation was cancelled, fenced, or taken over by another runner. A cancelled step is undone once
   * it has returned, so anything awaited besides `call` has to heed it.
   */
  readonly signal: AbortSignal;
  /** Sends a command to a host's agent and waits for its result; see CommandCaller. Rejects as soon as `signal` is aborted. */
  readonly call: CommandCaller["call"];
  /** Percent of this step, 0–100, and facts for the resource's owner (byte counts). */
  progress(percent: number, detail?: Record<string, Json>): void;
  /** The oldest signal of that name that no earlier step has consumed. A step consumes what it asked for when it is done. */
  received(name: string): ReceivedSignal | undefined;
  /** Runs `fn` for each such signal, those that have arrived and those that arrive while this step is at work. */
  onSignal(name: string, fn: (signal: ReceivedSignal) => void): void;
  /** Frees the runner until `untilMs` (epoch) or until one of `signals` arrives; the step is then called again. */
  wait(options: { untilMs?: number; signals?: readonly string[]; percent?: number }): Wait;
}

/** Returned by an effect that has to wait, for a time, a signal, or whichever comes first. */
export class Wait {
  readonly untilMs: number | null;
  readonly signals: readonly string[];
  readonly percent: number | null;

  constructor(options: { untilMs?: number; signals?: readonly string[]; percent?: number }) {
    this.untilMs = options.untilMs ?? null;
    this.signals = options.signals ?? [];
    this.percent = options.percent ?? null;
    if (this.untilMs === null && this.signals.length === 0)
      throw new Error("a wait needs a time or a signal to end it");
  }
}

/**
 * Thrown by a step: undo back to the start of `step` and go forward from there, with `memo` merged into the notes.
 * For another try on another host. Only before the pivot.
 */
export class Redo extends Error {
  override readonly name = "Redo";
  readonly step: string;
  readonly memo: Record<string, Json>;
  readonly fault: PublicFault;

  constructor(step: string, memo: Record<string, Json>, fault: PublicFault) {
    super(`redo from ${step}`);
    this.step = step;
    this.memo = memo;
    this.fault = fault;
  }
}

interface StepCommon<Input, Out> {
  /** Skipped unless true. Decided when the step's turn comes; must depend on input, memo and outputs only. */
  when?: (c: StepContext<Input, Out>) => boolean;
  /** Percent of the whole operation at the start and the end of this step. */
  span?: readonly [number, number];
  /** Name of the event that the resource's owner sees for this step. */
  event?: string;
  /** Host at which the step acts, shown with its event and in the operation. Without it, the one that it called last, once it has ended. */
  eventHost?: (c: StepContext<Input, Out>) => string | null;
  /** The request that this step works for, when it is not the one that started the operation (a confirm, a revert). */
  requestId?: (c: StepContext<Input, Out>) => string | null;
}

/** Writes our database, in one transaction with the journal: exactly once. */
export interface TxStep<Input, Out, Result> extends StepCommon<Input, Out> {
  tx: (t: Tx, c: StepContext<Input, Out>) => Promise<Result>;
  undoTx?: (t: Tx, c: StepContext<Input, Out>) => Promise<void>;
}

/** Acts on the outside world: at least once, so everything in it is an idempotent "ensure". */
export interface EffectStep<Input, Out, Result> extends StepCommon<Input, Out> {
  effect: (a: EffectContext, c: StepContext<Input, Out>) => Promise<Result | Wait>;
  /** Must cope with an effect that never began, and with one that was finished. Sees only the outputs of earlier steps. */
  undo?: (a: EffectContext, c: StepContext<Input, Out>) => Promise<void>;
  /** A place among `max` that the operation must hold from this step to its end or this step's undo; waits for one, by priority. */
  slot?: (c: StepContext<Input, Out>) => { key: string; max: number };
  /** What to do when a call fails with kind `unavailable`: tries before the step counts as failed. Default 5; after the pivot without end. */
  maxAttempts?: number;
}

export interface OperationOptions<Input> {
  /** Later than this alerts an operator; nothing is killed. */
  deadlineMs: number;
  /** Higher goes first where operations compete. Default 0. */
  priority?: (input: Input) => number;
  /** Kind of resource that `resourceId` names: `server`, `volume`, … */
  resource: string;
}

/** How an operation ended without reaching its goal. */
export interface Failure {
  readonly fault: PublicFault;
  readonly cancelled: boolean;
}

export interface AnyStep {
  readonly name: string;
  readonly pivoted: boolean;
  readonly kind: "tx" | "effect";
  readonly tx?: TxStep<unknown, unknown, unknown>;
  readonly effect?: EffectStep<unknown, unknown, unknown>;
  readonly common: StepCommon<unknown, unknown>;
}

/** A complete operation, as the engine and the fault matrix see it. */
export interface AnyOperation {
  readonly name: string;
  readonly options: OperationOptions<unknown>;
  readonly steps: readonly AnyStep[];
  readonly onFailed: ((t: Tx, c: StepContext<unknown, unknown>, failure: Failure) => Promise<void>) | undefined;
}

/** The input type travels with the definition so that `startOperation` can demand it. */
export interface Operation<Input> extends AnyOperation {
  readonly inputType?: Input;
}

type WithOutput<Out, Name extends string, Result> = Out & { [K in Name]: Result };

/** Declares an operation as a list of named steps. Names are permanent: the journal is kept by them. */
export class OperationBuilder<Input, Out> {
  readonly #name: string;
  readonly #options: OperationOptions<Input>;
  readonly #steps: AnyStep[];
  readonly #pivoted: boolean;

  constructor(name: string, options: OperationOptions<Input>, steps: AnyStep[] = [], pivoted = false) {
    this.#name = name;
    this.#options = options;
    this.#steps = steps;
    this.#pivoted = pivoted;
  }

  /** A step that may be skipped: later steps see its result or undefined. */
  step<const Name extends string, Result>(
    name: Name,
    step: (TxStep<Input, Out, Result> | EffectStep<Input, Out, Result>) & {
      when: NonNullable<StepCommon<Input, Out>["when"]>;
    },
  ): OperationBuilder<Input, WithOutput<Out, Name, Result | undefined>>;
  step<const Name extends string, Result>(
    name: Name,
    step: TxStep<Input, Out, Result> | EffectStep<Input, Out, Result>,
  ): OperationBuilder<Input, WithOutput<Out, Name, Result>>;
  step<const Name extends string, Result>(
    name: Name,
    step: TxStep<Input, Out, Result> | EffectStep<Input, Out, Result>,
  ): OperationBuilder<Input, WithOutput<Out, Name, Result>> {
    if (this.#steps.some((s) => s.name === name)) throw new Error(`operation ${this.#name} has two steps ${name}`);
    const erased = step as TxStep<unknown, unknown, unknown> | EffectStep<unknown, unknown, unknown>;
    const any: AnyStep =
      "tx" in erased
        ? { name, pivoted: this.#pivoted, kind: "tx", tx: erased, common: erased }
        : { name, pivoted: this.#pivoted, kind: "effect", effect: erased, common: erased };
    return new OperationBuilder(this.#name, this.#options, [...this.#steps, any], this.#pivoted);
  }

  /** Once a step past here has started, the operation only goes forward: nothing is undone, calls are repeated until they succeed. */
  pivot(): OperationBuilder<Input, Out> {
    return new OperationBuilder(this.#name, this.#options, this.#steps, true);
  }

  /** Runs in the transaction that ends an undone operation. `out` has what the steps had returned before they were undone. */
  onFailed(handler: (t: Tx, c: StepContext<Input, Partial<Out>>, failure: Failure) => Promise<void>): Operation<Input> {
    return this.#build(handler as AnyOperation["onFailed"]);
  }

  /** For operations whose failure needs no change of state beyond the undo. */
  build(): Operation<Input> {
    return this.#build(undefined);
  }

  #build(onFailed: AnyOperation["onFailed"]): Operation<Input> {
    if (this.#steps.length === 0) throw new Error(`operation ${this.#name} has no steps`);
    return { name: this.#name, options: this.#options as OperationOptions<unknown>, steps: this.#steps, onFailed };
  }
}

// biome-ignore lint/complexity/noBannedTypes: `{}` is the neutral element of the outputs' intersection
export function operation<Input>(name: string, options: OperationOptions<Input>): OperationBuilder<Input, {}> {
  return new OperationBuilder(name, options);
}
