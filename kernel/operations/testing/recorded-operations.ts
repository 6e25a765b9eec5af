import { CloudError } from "../../errors/cloud-error.ts";
import { type EffectStep, operation, type TxStep } from "../definition.ts";

export interface Recorded {
  /** What happened, in order: `do:a`, `undo:b`, `failed`. */
  readonly log: string[];
  /** Steps whose work fails, each as often as it says. */
  readonly failing: Map<string, { times: number; error: () => Error }>;
}

export function recorded(): Recorded {
  return { log: [], failing: new Map() };
}

export function fail(record: Recorded, what: string, times = 1, error: () => Error = broken): void {
  record.failing.set(what, { times, error });
}

export const broken = (): Error => new CloudError("conflict", "test.broken", "It broke.");
export const away = (): Error => new CloudError("unavailable", "test.away", "Nobody answers.");

function act(record: Recorded, what: string): void {
  record.log.push(what);
  const plan = record.failing.get(what);
  if (!plan || plan.times <= 0) return;
  plan.times -= 1;
  throw plan.error();
}

// biome-ignore lint/complexity/noBannedTypes: steps for any operation
export type AnyOut = {};

export function effectStep(record: Recorded, name: string): EffectStep<unknown, AnyOut, { by: string }> {
  return {
    effect: async () => {
      act(record, `do:${name}`);
      return { by: name };
    },
    undo: async () => act(record, `undo:${name}`),
  };
}

export function txStep(record: Recorded, name: string): TxStep<unknown, AnyOut, { by: string }> {
  return {
    tx: async () => {
      act(record, `do:${name}`);
      return { by: name };
    },
    undoTx: async () => act(record, `undo:${name}`),
  };
}

/** Steps a (tx), b and c (effects), then past the pivot d (effect) and e (tx). */
export function fiveSteps(record: Recorded) {
  return operation<unknown>("test.five", { deadlineMs: 60_000, resource: "thing" })
    .step("a", { ...txStep(record, "a"), span: [0, 10] })
    .step("b", { ...effectStep(record, "b"), span: [10, 40] })
    .step("c", { ...effectStep(record, "c"), span: [40, 80] })
    .pivot()
    .step("d", { ...effectStep(record, "d"), span: [80, 90] })
    .step("e", txStep(record, "e"))
    .onFailed(async (_t, c, failure) => {
      record.log.push(`failed:${failure.fault.code}:${Object.keys(c.out).join("")}`);
    });
}
