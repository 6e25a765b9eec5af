import { CloudError, type PublicFault } from "../../../kernel/errors/cloud-error.ts";
import { whenEnded } from "../../../kernel/operations/http/operation-watch.ts";
import type { FaceDependencies } from "./dependencies.ts";

/**
 * Waits for an operation that OpenStack's API answers with the result of. Throws what undid it; `conflict` when somebody
 * took over the volume, by a reset or a force delete; `unavailable` when it takes longer than an agent may take for an answer, or the client
 * has gone: it then goes on by itself.
 */
export async function endedOperation(deps: FaceDependencies, operationId: string, gone: AbortSignal): Promise<void> {
  const { store, clock } = deps.kernel;
  const late = new AbortController();
  const timer = clock.after(deps.settings.askTimeoutMs, () => late.abort());
  try {
    const found = await whenEnded({ store, clock, over: AbortSignal.any([gone, late.signal]) }, operationId);
    const { state, fault } = found?.operation ?? {};
    if (state === "done") return;
    if (state === "abandoned") throw givenUp(operationId);
    throw fault ? failed(fault) : tooLate(operationId);
  } finally {
    timer.cancel();
  }
}

function failed({ kind, code, message }: PublicFault): CloudError {
  return new CloudError(kind, code, message);
}

function givenUp(operationId: string): CloudError {
  return new CloudError(
    "conflict",
    "block-storage.given_up",
    `Operation ${operationId} was given up: an administrator has reset the volume or deleted it by force meanwhile.`,
  );
}

function tooLate(operationId: string): CloudError {
  return new CloudError(
    "unavailable",
    "block-storage.not_yet",
    `The backend has not answered yet; operation ${operationId} goes on.`,
  );
}
