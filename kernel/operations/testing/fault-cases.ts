import type { AnyOperation } from "../definition.ts";
import type { HookPoint } from "../hooks.ts";

export type Phase = HookPoint["phase"];
export type Ending = "done" | "undone";

/** One thing that goes wrong, once, at one place. */
export type Fault =
  /** The step fails, or the runner dies, at a boundary; `entry` counts how often the step was entered, from 1. */
  | { kind: "fail" | "crash"; step: string; phase: Phase; when: HookPoint["when"]; entry: number }
  /**
   * Of the step's calls the one with that index, from 0: it never arrives, it is carried out but the answer is lost, it
   * is carried out but the runner dies before the answer, or its agent crashes while it is at work.
   */
  | { kind: "loseCall" | "loseReply" | "dieInCall" | "crashAgent"; step: string; phase: Phase; call: number }
  /** The whole effect or undo is run a second time, with calls that the agent cannot take for repeats. */
  | { kind: "twice"; step: string; phase: Phase }
  /** The operation is cancelled just as the step begins its work. */
  | { kind: "cancel"; step: string };

export interface FaultCase {
  readonly name: string;
  readonly fault: Fault;
  /** Also makes this step fail, so that there is something to undo. */
  readonly provoke: string | undefined;
  readonly endings: readonly Ending[];
}

/** What a run without the fault went through. */
export interface Survey {
  /** Times each step's work or undo was entered, by `phase step`. */
  readonly entries: ReadonlyMap<string, number>;
  /** Agent calls, by `phase step`. */
  readonly calls: ReadonlyMap<string, number>;
  readonly canCrashAgent: boolean;
}

/** More calls of one step than this are polls: the first ones and the last are broken. */
const CALLS_BROKEN = 4;

export function surveyKey(phase: Phase, step: string): string {
  return `${phase} ${step}`;
}

/** Faults on the way forward, for the steps that a successful run reached. */
export function forwardCases(definition: AnyOperation, survey: Survey): FaultCase[] {
  const cases: FaultCase[] = [];
  for (const step of definition.steps) {
    const entries = survey.entries.get(surveyKey("do", step.name)) ?? 0;
    const add = (what: string, fault: Fault, endings: readonly Ending[]) =>
      cases.push({ name: `${step.name}: ${what}`, fault, provoke: undefined, endings });
    const failed: readonly Ending[] = step.pivoted ? ["done"] : ["undone"];
    if (entries === 0) continue;
    for (const entry of new Set([1, entries])) {
      const again = entry === 1 ? "" : ` (entered for the ${entry}th time)`;
      const at = { step: step.name, phase: "do", entry } as const;
      add(`fails before its work${again}`, { kind: "fail", when: "before", ...at }, failed);
      add(`fails after its work${again}`, { kind: "fail", when: "worked", ...at }, failed);
      add(`runner dies before its work${again}`, { kind: "crash", when: "before", ...at }, ["done"]);
      add(`runner dies after its work${again}`, { kind: "crash", when: "worked", ...at }, ["done"]);
    }
    const end = { step: step.name, phase: "do", entry: 1 } as const;
    add("runner dies after the journal", { kind: "crash", when: "journaled", ...end }, ["done"]);
    if (step.kind === "tx") continue;
    const either: readonly Ending[] = step.pivoted ? ["done"] : ["done", "undone"];
    add("its work runs twice", { kind: "twice", step: step.name, phase: "do" }, ["done"]);
    if (!step.pivoted) add("cancelled", { kind: "cancel", step: step.name }, either);
    for (const [what, fault] of callFaults(step.name, "do", survey)) {
      add(what, fault, fault.kind === "dieInCall" ? ["done"] : either);
    }
  }
  return cases;
}

/** Faults on the way back, for the undos that a run reached in which `provoke` failed. */
export function undoCases(definition: AnyOperation, survey: Survey, provoke: string): FaultCase[] {
  const cases: FaultCase[] = [];
  for (const step of definition.steps.toReversed()) {
    if (!survey.entries.has(surveyKey("undo", step.name))) continue;
    const add = (what: string, fault: Fault) =>
      cases.push({ name: `undo of ${step.name}: ${what}`, fault, provoke, endings: ["undone"] });
    const at = { step: step.name, phase: "undo", entry: 1 } as const;
    add("fails before its work, then succeeds", { kind: "fail", when: "before", ...at });
    add("fails after its work, then succeeds", { kind: "fail", when: "worked", ...at });
    for (const when of ["before", "worked", "journaled"] as const) {
      add(`runner dies (${when})`, { kind: "crash", when, ...at });
    }
    if (!step.effect?.undo) continue;
    add("runs twice", { kind: "twice", step: step.name, phase: "undo" });
    for (const [what, fault] of callFaults(step.name, "undo", survey)) add(what, fault);
  }
  return cases;
}

/** The last step before the pivot that the run reached: its failure undoes the most. */
export function lastUndoable(definition: AnyOperation, survey: Survey): string | undefined {
  return definition.steps.findLast((s) => !s.pivoted && survey.entries.has(surveyKey("do", s.name)))?.name;
}

function callFaults(step: string, phase: Phase, survey: Survey): [string, Fault][] {
  const calls = survey.calls.get(surveyKey(phase, step)) ?? 0;
  const indexes = [...Array(calls).keys()].filter((i) => i < CALLS_BROKEN || i === calls - 1);
  return indexes.flatMap((call): [string, Fault][] => {
    const at = { step, phase, call };
    const faults: [string, Fault][] = [
      [`call ${call} never arrives`, { kind: "loseCall", ...at }],
      [`answer to call ${call} is lost`, { kind: "loseReply", ...at }],
      [`runner dies during call ${call}`, { kind: "dieInCall", ...at }],
    ];
    if (survey.canCrashAgent) faults.push([`agent crashes during call ${call}`, { kind: "crashAgent", ...at }]);
    return faults;
  });
}
