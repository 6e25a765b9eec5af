import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import { lockScope, stateOfScope } from "../store/backends.ts";
import { FROZEN, switchServices } from "../store/switch-services.ts";
import { isRefusal, noteRefusal } from "./refusals.ts";
import type { BackendTools, ScopeTarget } from "./scope-calls.ts";

export interface TellFrozenInput extends ScopeTarget {
  readonly frozen: boolean;
}

/**
 * Tells a backend that it was frozen or thawed: a hook of drivers. The flags are set by the request; whoever changes them
 * again abandons this. A backend that refuses to thaw stays out of scheduling, as its services show.
 */
export function tellFrozenOperation(deps: BackendTools): Operation<TellFrozenInput> {
  const { clock } = deps.kernel;
  return operation<TellFrozenInput>("backend.tell_frozen", { resource: "backend", deadlineMs: minutes(10) })
    .pivot()
    .step("tell", {
      effect: async (a, { input }) => {
        const { backend, to, frozen } = input;
        try {
          await a.call(blockStorageVerbs, frozen ? "backend.freeze" : "backend.thaw", { backend }, { to });
          return { refused: false };
        } catch (error) {
          if (!isRefusal(error)) throw error;
          noteRefusal(a, error);
          a.log.warn({ scope: input.scope, frozen, code: error.code }, "the backend refused to be frozen or thawed");
          return { refused: true };
        }
      },
    })
    .step("settle", {
      when: ({ input, out }) => !input.frozen && out.tell.refused,
      tx: async (t, { input }) => {
        const scope = await lockScope(t, input.scope);
        if (!scope || stateOfScope(scope).frozen === 1) return;
        await switchServices(t, clock, scope, { disabled: 1, disabled_reason: FROZEN });
      },
    })
    .build();
}
