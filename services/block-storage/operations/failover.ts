import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError, type PublicFault, publicFault } from "../../../kernel/errors/cloud-error.ts";
import type { ServicePatch } from "../../../kernel/fleet/services.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { PRIMARY } from "../domain/replication-state.ts";
import { lockScope, type ScopeState, stateOfScope, updateScope } from "../store/backends.ts";
import { leaveBehind, recordFailover } from "../store/scope-volumes.ts";
import { FROZEN, switchServices } from "../store/switch-services.ts";
import { isRefusal, noteRefusal } from "./refusals.ts";
import type { BackendTools, ScopeTarget } from "./scope-calls.ts";

export interface FailoverInput extends ScopeTarget {
  /** Id of the wanted target; `default` is the primary, null the driver's choice. */
  readonly target: string | null;
}

/** How the backend answered. */
type Outcome =
  | { readonly ok: true; readonly active: string | null; readonly served: string[]; readonly failed: string[] }
  | { readonly ok: false; readonly unknownTarget: boolean; readonly fault: PublicFault };

/** What the protocol takes for the id of a target. */
const TARGET = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,119}$/;
const UNKNOWN_TARGET = "storage.target_unknown";

/**
 * Makes a backend serve from another place. Whoever starts it has set its replication status to `failing-over`. Nothing is
 * undone: what had no replica stays behind, and a backend whose agent is away is told again until it answers.
 */
export function failoverOperation(deps: BackendTools): Operation<FailoverInput> {
  const { kernel } = deps;
  const { clock } = kernel;
  return operation<FailoverInput>("backend.failover", {
    resource: "backend",
    deadlineMs: minutes(15),
    priority: () => 10,
  })
    .pivot()
    .step("leave-behind", {
      when: ({ input }) => input.target !== PRIMARY,
      tx: async (t, { input: target, operation: { requestId } }) => {
        return { left: await leaveBehind(t, { kernel, target, requestId }) };
      },
      span: [0, 5],
    })
    .step("switch", {
      effect: async (a, { input }): Promise<Outcome> => {
        const { backend, target, to } = input;
        if (target !== null && !TARGET.test(target)) return unknownTarget(target);
        try {
          const answer = await a.call(
            blockStorageVerbs,
            "backend.failover",
            { backend, targetId: target },
            { to, timeoutMs: deps.settings.failoverTimeoutMs, onProgress: (percent) => a.progress(percent) },
          );
          const those = (ok: boolean) => answer.volumes.filter((one) => one.ok === ok).map((one) => one.volumeId);
          return { ok: true, active: answer.activeBackendId, served: those(true), failed: those(false) };
        } catch (error) {
          if (!isRefusal(error)) throw error;
          a.log.warn({ scope: input.scope, code: error.code }, "the backend refused to fail over");
          noteRefusal(a, error);
          return { ok: false, unknownTarget: error.code === UNKNOWN_TARGET, fault: publicFault(error) };
        }
      },
      span: [5, 95],
    })
    .step("publish", {
      tx: async (t, { input, out, operation: { requestId } }) => {
        const scope = await lockScope(t, input.scope);
        if (!scope) return;
        const outcome = out.switch;
        const { state, services } = whatFollows(outcome, stateOfScope(scope));
        await updateScope(t, clock, scope, state);
        await switchServices(t, clock, scope, services);
        if (!outcome.ok) return;
        const status = outcome.active === null ? "enabled" : "failed-over";
        await recordFailover(t, { kernel, target: input, requestId }, outcome, status);
      },
    })
    .build();
}

/** The state after the answer, and the flags of the services (of a cluster: also its own). */
function whatFollows(outcome: Outcome, before: ScopeState): { state: Partial<ScopeState>; services: ServicePatch } {
  if (!outcome.ok) {
    if (!outcome.unknownTarget) return { state: { replication_status: "failover-error" }, services: { disabled: 1 } };
    return { state: { replication_status: before.active_backend_id ? "failed-over" : "enabled" }, services: {} };
  }
  if (outcome.active !== null) {
    return {
      state: { replication_status: "failed-over", active_backend_id: outcome.active },
      services: { disabled: 1, disabled_reason: "failed-over" },
    };
  }
  const frozen = before.frozen === 1;
  return {
    state: { replication_status: "enabled", active_backend_id: "" },
    services: { disabled: frozen ? 1 : 0, disabled_reason: frozen ? FROZEN : "" },
  };
}

function unknownTarget(target: string): Outcome {
  const error = new CloudError("invalid", UNKNOWN_TARGET, `There is no replication target ${target}.`);
  return { ok: false, unknownTarget: true, fault: publicFault(error) };
}
