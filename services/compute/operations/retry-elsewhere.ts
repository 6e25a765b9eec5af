import { CloudError, publicFault } from "../../../kernel/errors/cloud-error.ts";
import { type Json, Redo } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";

type Memo = Readonly<Record<string, Json>>;

/** Hosts that an earlier round of the operation has tried. */
export function excludedHosts(memo: Memo): string[] {
  return Array.isArray(memo.tried) ? (memo.tried as string[]) : [];
}

export interface HostChoice {
  readonly step: string;
  readonly host: string;
  readonly memo: Memo;
  /** A host that the user named is not replaced. */
  readonly fixed: boolean;
  readonly maxHosts?: number;
  /** The work starts a guest: from a host that falls silent it may run, so that none may be started elsewhere. */
  readonly startsGuest?: boolean;
}

/**
 * Does `work` on a chosen host; when the host is the reason for a failure, goes back to the scheduling step with that
 * host excluded, `scheduler.max_attempts` times in all.
 */
export async function retryElsewhere<T>(
  deps: ComputeDependencies,
  choice: HostChoice,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const tried = [...excludedHosts(choice.memo), choice.host];
    const maxHosts = choice.maxHosts ?? deps.settings.schedulerMaxAttempts;
    if (choice.fixed || tried.length >= maxHosts || !isAboutTheHost(error, choice)) throw error;
    throw new Redo(choice.step, { tried }, publicFault(error));
  }
}

function isAboutTheHost(error: unknown, { startsGuest }: HostChoice): boolean {
  if (!(error instanceof CloudError)) return false;
  if (error.kind === "unavailable") return startsGuest !== true;
  return error.kind === "noCapacity" || error.code === "compute.migration_refused";
}
