import { CloudError } from "../../../kernel/errors/cloud-error.ts";

const SILENT = ["fleet.host_down", "fleet.timeout", "compute.source_silent"];

/**
 * The host's agent did not answer at all: it may be down, and what it was told may or may not have been done. A driver
 * that answers that it cannot do something now is another matter: its host is alive.
 */
export function isSilent(error: unknown): error is CloudError {
  return error instanceof CloudError && SILENT.includes(error.code);
}

/** Passes over failures with these codes, which say that there is nothing to do. */
export async function unless(codes: readonly string[], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof CloudError) || !codes.includes(error.code)) throw error;
  }
}
