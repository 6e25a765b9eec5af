import type { ComputeFacts, GuestFacts } from "../../../agent/protocol/compute.ts";
import type { AgentEvent } from "../../../agent/protocol/envelope.ts";
import type { AgentBoot, FleetListener } from "../../../kernel/fleet/fleet.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { hostDifferences } from "../domain/host-differences.ts";
import { hostIsBack } from "../operations/cleanup.ts";
import { syncPowerOperation } from "../operations/sync-power.ts";
import { recordHost } from "../store/hosts.ts";
import { findServer } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { recordOf } from "./host-record.ts";

/** Keeps our picture of hosts and guests true: what an agent finds when it starts, and what happens by itself later. */
export function computeListener(deps: ComputeDependencies): FleetListener {
  const log = deps.kernel.loggers.get("compute.agents");
  const syncPower = syncPowerOperation(deps);

  return {
    async booted(t: Tx, boot: AgentBoot) {
      const provided = boot.services.find((s) => s.service === "compute");
      if (!provided) return;
      const facts = provided.facts as unknown as ComputeFacts;
      await recordHost(t, deps.kernel, { name: boot.host, zone: deps.settings.defaultAvailabilityZone, facts });
      // Without a list these are only new facts of an agent that has been there all the time.
      const listed = boot.inventory.compute as readonly GuestFacts[] | undefined;
      if (!listed) return;
      await hostIsBack(t, deps, boot.host);
      const found = hostDifferences(await recordOf(t, boot.host), listed);
      for (const id of found.off) await lookAt(t, await findServer(t, id));
      for (const id of found.unknown) {
        log.warn(
          { host: boot.host, server: id },
          "the host has a guest that is not known to belong there; it is left alone",
        );
      }
    },

    async event(t: Tx, host: string, event: AgentEvent) {
      if (event.service !== "compute" || (event.kind !== "died" && event.kind !== "stopped")) return;
      const server = await findServer(t, event.subject);
      if (server?.host === host) await lookAt(t, server);
    },
  };

  /** Its guest seems to be off. */
  async function lookAt(t: Tx, server: ServerRow | undefined): Promise<void> {
    if (!server || server.task_state !== null || (server.vm_state !== "active" && server.vm_state !== "paused")) return;
    log.info({ server: server.id, host: server.host }, "the guest seems to have stopped by itself");
    await deps.kernel.operations.start(t, syncPower, { input: { serverId: server.id }, resourceId: server.id });
  }
}
