import type { Logger } from "../../kernel/log/logger.ts";

/**
 * One command as a driver sees it. Same key = same command: a repeat joins it and gets its answer, never a second run.
 */
export interface Call {
  /** Operation id and step: stable over retries and restarts. */
  readonly key: string;
  /** Grows each time an operation changes hands; the runtime has refused lower ones before a driver sees them. */
  readonly epoch: number;
  readonly deadline: Date;
  /** Aborted when the command was revoked or the agent shuts down. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Sends progress to the server (percent 0–100 and driver facts); cheap, thinned out by the runtime. */
  progress(percent: number, detail?: Record<string, unknown>): void;
  /** Path of the cached image file, fetched from the server and checked when it is not here yet. */
  image(source: { imageId: string; sizeBytes: number; sha256: string }): Promise<string>;
}
