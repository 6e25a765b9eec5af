import type { Clock } from "../clock/clock.ts";
import type { Logger } from "../log/logger.ts";
import type { Store } from "../store/store.ts";
import type { CallerFactory } from "./command-caller.ts";
import type { AnyStep } from "./definition.ts";
import type { Hook } from "./hooks.ts";

/** What carrying out an operation needs. */
export interface ExecutionEnvironment {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly callers: CallerFactory;
  /** For tests: see hooks.ts. */
  readonly hook?: Hook | undefined;
}

/** The operation's percent when `step` is at `percent` of its own; nothing for a step without a span. */
export function percentPatch(step: AnyStep, percent: number): { percent?: number } {
  if (!step.common.span) return {};
  const [from, to] = step.common.span;
  return { percent: from + ((to - from) * Math.max(0, Math.min(100, percent))) / 100 };
}
