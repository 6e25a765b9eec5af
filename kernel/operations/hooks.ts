/** A boundary inside an operation at which a test can make it fail or crash. */
export interface HookPoint {
  readonly operation: string;
  readonly operationId: string;
  readonly step: string;
  readonly phase: "do" | "undo";
  /** `before` the work, `worked` after it but before it is journaled, `journaled` once the journal has it. */
  readonly when: "before" | "worked" | "journaled";
}

/** Called at each boundary; may throw an error (the step fails) or `Crash` (the runner dies here). */
export type Hook = (point: HookPoint) => void;

/** Stands for the death of the process: nothing further is written. */
export class Crash extends Error {
  override readonly name = "Crash";
}
