import type { ConsoleBroker } from "../consoles/broker.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import type { Diagnose } from "../diagnostics.ts";
import type { ComputeOperations } from "../operations/compute-operations.ts";

/** What the API faces work with. */
export interface FaceDependencies extends ComputeDependencies {
  readonly operations: ComputeOperations;
  readonly consoles: ConsoleBroker;
  readonly diagnose: Diagnose;
}
