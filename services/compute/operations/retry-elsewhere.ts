import { CloudError, publicFault } from "../../../kernel/errors/cloud-error.ts";
import { type Json, Redo } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";

type Memo = Readonly<Record<string, Json>>;

/** Hosts that an earlier round of the operation has tried. */
export function excludedHosts(memo: Memo): string[] {
  return Array.isArray(memo.tried) ? (memo.tried as string[]) : [];
}

/**
 * Does `work` on a chosen host; when the host is the reason for a failure, goes back to the scheduling step with that
 * host excluded, `scheduler.max_attempts` times in all. A host that the user named is not replaced.
 */
export async function retryElsewhere<T>(
  deps: ComputeDependencies,
  choice: { step: string; host: string; memo: Memo; fixed: boolean; maxHosts?: number },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const tried = [...excludedHosts(choice.memo), choice.host];
    const maxHosts = choice.maxHosts ?? deps.settings.schedulerMaxAttempts;
    if (choice.fixed || tried.length >= maxHosts || !isAboutTheHost(error)) throw error;
    throw new Redo(choice.step, { tried }, publicFault(error));
  }
}

/** The host did not answer: it may be down. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof CloudError && error.kind === "unavailable";
}

function isAboutTheHost(error: unknown): boolean {
  if (!(error instanceof CloudError)) return false;
  return error.kind === "unavailable" || error.kind === "noCapacity" || error.code === "compute.migration_refused";
}
