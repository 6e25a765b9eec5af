import { CloudError, type PublicFault } from "../../../kernel/errors/cloud-error.ts";
import { CHANGED_CHANNEL } from "../../../kernel/operations/channels.ts";
import { findOperation } from "../../../kernel/operations/control.ts";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { FaceDependencies } from "./dependencies.ts";

/** The step with which the pre-checks of a live migration are over. */
const LAST_CHECK = "check-source";
/** Longer checks go on without their client. */
const PATIENCE_MS = 120_000;
/** A notification may be lost with the connection that it comes on. */
const LOOK_EVERY_MS = 2000;

/**
 * Waits until the pre-checks of a live migration are over. Throws what they found: 409 for a guest in the wrong power
 * state, 400 for anything else. Returns early when the client leaves.
 */
export async function waitForChecks(deps: FaceDependencies, operationId: string, gone: AbortSignal): Promise<void> {
  const { store, clock } = deps.kernel;
  const waiting = new AbortController();
  let wake = () => {};
  const unlisten = store.listen(CHANGED_CHANNEL, (id) => {
    if (id === operationId) wake();
  });
  const timer = clock.after(PATIENCE_MS, () => waiting.abort());
  const leave = () => waiting.abort();
  gone.addEventListener("abort", leave, { once: true });
  waiting.signal.addEventListener("abort", () => wake(), { once: true });
  try {
    while (!waiting.signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const outcome = await outcomeOf(store.read, operationId);
      if (outcome === "passed") return;
      if (outcome !== "undecided") throw refusalOf(outcome);
      const look = clock.after(LOOK_EVERY_MS, wake);
      await changed.finally(() => look.cancel());
    }
  } finally {
    unlisten();
    timer.cancel();
    gone.removeEventListener("abort", leave);
  }
}

/** A fault as soon as the operation is back where it began, so that the client then finds the server as it was. */
async function outcomeOf(q: Queries, operationId: string): Promise<"passed" | "undecided" | PublicFault> {
  const operation = await findOperation(q, operationId);
  if (!operation) return "passed";
  if (operation.state === "undone" && operation.fault !== null) return JSON.parse(operation.fault) as PublicFault;
  if (FINAL_STATES.includes(operation.state)) return "passed";
  const checked = await q
    .tables<OperationTables>()
    .selectFrom("operation_steps")
    .select("step")
    .where("operation_id", "=", operationId)
    .where("run", "=", operation.run)
    .where("step", "=", LAST_CHECK)
    .where("state", "=", "done")
    .executeTakeFirst();
  return checked && operation.direction === "forward" ? "passed" : "undecided";
}

function refusalOf(fault: PublicFault): CloudError {
  return new CloudError(fault.kind === "conflict" ? "conflict" : "invalid", fault.code, fault.message);
}
