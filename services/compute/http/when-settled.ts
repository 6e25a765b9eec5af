import { seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Action } from "../../../kernel/http/route.ts";
import { whenEnded } from "../../../kernel/operations/http/operation-watch.ts";
import { unsettledCleanups } from "../operations/unsettled.ts";
import type { FaceDependencies } from "./dependencies.ts";

const UNSETTLED = "compute.server_unsettled";
/** A guest on hosts that answer is found much sooner. */
const PATIENCE_MS = seconds(20);

/**
 * The action, for servers whose guest is still being looked for after `os-resetState`: OpenStack would accept it at once,
 * so it is carried out as soon as the guest is found. Only where a host is silent is it refused.
 */
export function whenSettled(deps: FaceDependencies, action: Action): Action {
  return {
    ...action,
    async handler(request) {
      try {
        return await action.handler(request);
      } catch (error) {
        if (!(error instanceof CloudError) || error.code !== UNSETTLED) throw error;
      }
      await untilSettled(deps, request);
      return await action.handler(request);
    },
  };
}

async function untilSettled(deps: FaceDependencies, request: ApiRequest<never, never>): Promise<void> {
  const { store, clock } = deps.kernel;
  const late = new AbortController();
  const timer = clock.after(PATIENCE_MS, () => late.abort());
  const over = AbortSignal.any([request.signal, request.closing, late.signal]);
  try {
    // One that waits has found a host silent.
    for (const { id, state } of await unsettledCleanups(store.read, request.param("id").toLowerCase()))
      if (state !== "waiting") await whenEnded({ store, clock, over }, id);
  } finally {
    timer.cancel();
  }
}
