import type { Clock } from "../clock/clock.ts";
import type { ServedFace } from "../http/server.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Loggers } from "../log/logger.ts";
import type { OperationControl } from "../operations/control.ts";
import type { AnyOperation } from "../operations/definition.ts";
import type { RuleDefault } from "../policy/policy.ts";
import type { Migration } from "../store/migrate.ts";
import type { Store } from "../store/store.ts";

/** What every service is built on. */
export interface KernelServices {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly loggers: Loggers;
  readonly operations: OperationControl;
}

/** Compares wanted with actual, repeatable; takes no input. */
export interface Reconciler {
  /** `compute.auto-confirm` */
  readonly name: string;
  /** Pause between two runs, milliseconds. */
  readonly everyMs: number;
  /** `signal` is aborted when the process is about to stop. */
  run(signal: AbortSignal): Promise<void>;
}

/** Everything that a service contributes to the program; the only registration point. */
export interface ServiceManifest {
  readonly name: string;
  readonly migrations: readonly Migration[];
  readonly policies: readonly RuleDefault[];
  readonly faces: readonly ServedFace[];
  readonly operations: readonly AnyOperation[];
  readonly reconcilers: readonly Reconciler[];
}
