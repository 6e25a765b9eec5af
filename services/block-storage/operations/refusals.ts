import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { EffectContext } from "../../../kernel/operations/definition.ts";

/**
 * A refusal is an answer and ends the work. Everything else says nothing of what the backend did, so it is asked again until there
 * is an answer: also when the fleet has not let the command through (`fleet.stale_epoch`).
 */
export function isRefusal(error: unknown): error is CloudError {
  return error instanceof CloudError && error.kind !== "unavailable" && !error.code.startsWith("fleet.");
}

/** The operation ends well, in its own way: here it shows what the backend refused with. */
export function noteRefusal(a: EffectContext, { code }: CloudError): void {
  a.progress(100, { refused: code });
}
