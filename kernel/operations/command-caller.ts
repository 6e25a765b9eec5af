import type { Static, TSchema } from "typebox";

/** The part of a verb's definition that the caller needs; the agent protocol's verb tables fit. */
export interface VerbTable {
  readonly [verb: string]: { readonly input: TSchema; readonly result: TSchema };
}

export interface CallOptions {
  /** Who does it: one host, or any living member of a cluster. */
  to: { host: string } | { cluster: string };
  /** What the epoch protects, usually the id of the resource. Defaults to the operation's resource. */
  subject?: string;
  /** Tells two calls of the same verb in one step apart. */
  extra?: string;
  /** The call fails as `unavailable` after this long. */
  timeoutMs?: number;
  /** Progress as the agent reports it. */
  onProgress?: (percent: number, detail: Record<string, unknown>) => void;
}

/** How effect steps reach agents. Implemented by kernel/fleet. */
export interface CommandCaller {
  /**
   * Repeating a call (same operation, step, verb, extra) joins the earlier one and returns its result.
   * Rejects with the driver's CloudError; `unavailable` when the host is down or does not answer in time.
   */
  call<Table extends VerbTable, V extends keyof Table & string>(
    table: Table,
    verb: V,
    input: Static<Table[V]["input"]>,
    options: CallOptions,
  ): Promise<Static<Table[V]["result"]>>;
}

/** What fleet is told about the operation behind a call. */
export interface CallOrigin {
  readonly operationId: string;
  readonly step: string;
  /** `do` or `undo`, and how often the step was entered anew by a Redo: part of the key, so that an undo is not answered by an old result. */
  readonly phase: string;
  readonly epoch: number;
  readonly resourceId: string;
  readonly signal: AbortSignal;
}

export interface CallerFactory {
  caller(origin: CallOrigin): CommandCaller["call"];
}
