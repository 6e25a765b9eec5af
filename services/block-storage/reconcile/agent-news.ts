import type { ProvidedService } from "../../../agent/protocol/envelope.ts";
import type { AgentBoot, FleetListener } from "../../../kernel/fleet/fleet.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { recordBackend } from "../store/record-backend.ts";
import { VOLUME_BINARY } from "../store/services.ts";

/** Keeps our picture of backends true: what an agent announces when it starts, and its reports later. */
export function blockStorageListener(deps: BlockStorageDependencies): FleetListener {
  return {
    async booted(t: Tx, boot: AgentBoot) {
      for (const provided of boot.services) {
        if (!isBackend(provided)) continue;
        await recordBackend(t, deps, {
          node: boot.host,
          backend: provided.backend,
          cluster: provided.cluster,
          facts: provided.facts,
          // Without a list these are only new facts of an agent that has been there all the time.
          started: boot.inventory["block-storage"] !== undefined,
        });
      }
    },
  };
}

function isBackend(provided: ProvidedService): provided is ProvidedService & { backend: string } {
  return provided.binary === VOLUME_BINARY && provided.backend !== undefined;
}
