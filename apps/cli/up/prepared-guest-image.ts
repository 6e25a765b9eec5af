import { join } from "node:path";
import type { GuestImage } from "../../../agent/guest-image/ensure-guest-image.ts";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { LogFile } from "../../log-file.ts";

/** A signal for all our processes ends a helper first, and reaches us a moment later. */
const SIGNAL_ARRIVES_MS = 250;

/**
 * The guest image, or null when somebody stops the cloud before it is there. Throws `cli.no_guest_image`, which names the
 * program that failed and the log with what it said.
 */
export async function preparedGuestImage(options: {
  readonly stateDir: string;
  readonly stopped: Promise<void>;
  build(signal: AbortSignal): Promise<GuestImage>;
}): Promise<GuestImage | null> {
  const stop = new AbortController();
  void options.stopped.then(() => stop.abort());
  try {
    return await options.build(stop.signal);
  } catch (error) {
    await Promise.race([options.stopped, sleep(systemClock, SIGNAL_ARRIVES_MS)]);
    if (stop.signal.aborted) return null;
    throw error instanceof CloudError && error.code === "internal.command_failed"
      ? helperFailed(error, join(options.stateDir, "guest-image.log"))
      : error;
  }
}

function helperFailed(error: CloudError, logFile: string): CloudError {
  const log = new LogFile(logFile);
  log.write(`${error.internal ?? error.message}\n`);
  log.close();
  const problem = `The guest image cannot be made: ${error.fields.program ?? "a helper"} failed. What it said is in ${logFile}.`;
  return new CloudError("unavailable", "cli.no_guest_image", problem, { cause: error });
}
