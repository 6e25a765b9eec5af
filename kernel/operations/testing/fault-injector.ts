import { CloudError } from "../../errors/cloud-error.ts";
import type { CallerFactory, CallOrigin } from "../command-caller.ts";
import { type AnyOperation, type AnyStep, type EffectStep, Wait } from "../definition.ts";
import { Crash, type HookPoint } from "../hooks.ts";
import { type Fault, type FaultCase, type Phase, type Survey, surveyKey } from "./fault-cases.ts";

export interface InjectorActions {
  cancel(operationId: string): Promise<void>;
  crashAgent(): Promise<void>;
}

/** Lets exactly one fault happen, and counts what a run goes through. */
export class FaultInjector {
  /** Settles when the runner is to be taken for dead although its work goes on. */
  readonly died: Promise<void>;
  readonly #case: FaultCase | undefined;
  readonly #actions: InjectorActions;
  readonly #entries = new Map<string, number>();
  readonly #calls = new Map<string, number>();
  readonly #die: () => void;
  #happened = false;
  #provoked = false;
  /** `phase step` whose work is at the moment run for the second time. */
  #repeating: string | undefined;

  constructor(faultCase: FaultCase | undefined, actions: InjectorActions) {
    this.#case = faultCase;
    this.#actions = actions;
    const died = Promise.withResolvers<void>();
    this.died = died.promise;
    this.#die = died.resolve;
  }

  get happened(): boolean {
    return this.#happened;
  }

  survey(): Omit<Survey, "canCrashAgent"> {
    return { entries: this.#entries, calls: this.#calls };
  }

  hook(point: HookPoint): void {
    const key = surveyKey(point.phase, point.step);
    if (point.when === "before") this.#entries.set(key, (this.#entries.get(key) ?? 0) + 1);
    const fault = this.#case?.fault;
    if (fault?.kind === "fail" || fault?.kind === "crash") {
      const here = fault.step === point.step && fault.phase === point.phase && fault.when === point.when;
      if (here && (this.#entries.get(key) ?? 0) >= fault.entry && this.#once()) {
        throw fault.kind === "crash" ? new Crash() : injected();
      }
    }
    if (this.#case?.provoke === point.step && point.phase === "do" && point.when === "worked" && !this.#provoked) {
      this.#provoked = true;
      throw injected();
    }
  }

  /** The definition with its effects wrapped, for the faults that happen inside of a step. */
  definition(original: AnyOperation): AnyOperation {
    return { ...original, steps: original.steps.map((step) => this.#step(step)) };
  }

  callers(inner: CallerFactory): CallerFactory {
    return {
      caller: (origin) => {
        const first = inner.caller(origin);
        const again = inner.caller({ ...origin, phase: `${origin.phase}-again` });
        return (table, verb, input, options) => {
          const call = this.#repeating === surveyKey(phaseOf(origin), origin.step) ? again : first;
          return this.#call(origin, () => call(table, verb, input, options));
        };
      },
    };
  }

  #step(step: AnyStep): AnyStep {
    const { effect } = step;
    if (!effect) return step;
    const wrapped: EffectStep<unknown, unknown, unknown> = {
      ...effect,
      effect: async (a, c) => {
        const fault = this.#case?.fault;
        if (fault?.kind === "cancel" && fault.step === step.name && this.#once()) {
          await this.#actions.cancel(c.operation.id);
        }
        const result = await effect.effect(a, c);
        if (result instanceof Wait) return result;
        return (await this.#again(step, "do", () => effect.effect(a, c))) ?? result;
      },
    };
    const { undo } = effect;
    if (undo) {
      wrapped.undo = async (a, c) => {
        await undo(a, c);
        await this.#again(step, "undo", () => undo(a, c));
      };
    }
    return { ...step, effect: wrapped };
  }

  async #again<T>(step: AnyStep, phase: Phase, work: () => Promise<T>): Promise<T | undefined> {
    if (!this.#is({ kind: "twice", step: step.name, phase }) || !this.#once()) return undefined;
    this.#repeating = surveyKey(phase, step.name);
    try {
      return await work();
    } finally {
      this.#repeating = undefined;
    }
  }

  async #call<T>(origin: CallOrigin, call: () => Promise<T>): Promise<T> {
    const phase = phaseOf(origin);
    const key = surveyKey(phase, origin.step);
    const index = this.#calls.get(key) ?? 0;
    this.#calls.set(key, index + 1);
    const fault = this.#case?.fault;
    const here =
      fault && "call" in fault && fault.step === origin.step && fault.phase === phase && fault.call === index;
    if (!here || !this.#once()) return await call();
    switch (fault.kind) {
      case "loseCall":
        throw lost();
      case "loseReply":
        await call();
        throw lost();
      case "dieInCall":
        await call();
        this.#die();
        return await new Promise<never>(() => {});
      case "crashAgent": {
        const answer = call();
        await this.#actions.crashAgent();
        return await answer;
      }
    }
  }

  #is(fault: Fault): boolean {
    return JSON.stringify(this.#case?.fault) === JSON.stringify(fault);
  }

  #once(): boolean {
    const first = !this.#happened;
    this.#happened = true;
    return first;
  }
}

function phaseOf(origin: CallOrigin): Phase {
  return origin.phase.startsWith("undo") ? "undo" : "do";
}

function injected(): CloudError {
  return new CloudError("conflict", "fault.injected", "The fault matrix made this step fail.");
}

function lost(): CloudError {
  return new CloudError("unavailable", "fault.lost", "The fault matrix lost this call or its answer.");
}
