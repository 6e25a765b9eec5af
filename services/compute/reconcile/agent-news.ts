import type { ComputeFacts, GuestFacts } from "../../../agent/protocol/compute.ts";
import type { AgentEvent } from "../../../agent/protocol/envelope.ts";
import type { AgentBoot, FleetListener } from "../../../kernel/fleet/fleet.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { recordHost } from "../store/hosts.ts";
import { findServer, transition } from "../store/servers.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";

/** Keeps our picture of hosts and guests true: what an agent finds when it starts, and what happens by itself later. */
export function computeListener(deps: ComputeDependencies): FleetListener {
  const log = deps.kernel.loggers.get("compute.agents");
  const { clock } = deps.kernel;

  return {
    async booted(t: Tx, boot: AgentBoot) {
      const provided = boot.services.find((s) => s.service === "compute");
      if (!provided) return;
      const facts = provided.facts as unknown as ComputeFacts;
      await recordHost(t, deps.kernel, { name: boot.host, zone: deps.settings.defaultAvailabilityZone, facts });
      const found = new Map(
        (boot.inventory.compute ?? []).map((each) => [(each as GuestFacts).serverId, each as GuestFacts]),
      );
      for (const server of await serversOn(t, boot.host)) {
        const guest = found.get(server.id);
        found.delete(server.id);
        if (server.task_state === null) await follow(t, server, guest);
      }
      for (const id of found.keys()) {
        log.warn(
          { host: boot.host, server: id },
          "the host has a guest that is not known to belong there; it is left alone",
        );
      }
    },

    async event(t: Tx, host: string, event: AgentEvent) {
      if (event.service !== "compute") return;
      const server = await findServer(t, event.subject);
      if (!server || server.host !== host || server.task_state !== null) return;
      if (event.kind === "guest.stopped" || event.kind === "guest.crashed")
        await follow(t, server, undefined, event.kind === "guest.crashed");
    },
  };

  /** A guest that stopped by itself makes its server stopped, as Nova's power state sync does. Nothing else is changed. */
  async function follow(
    t: Tx,
    server: ServerRow,
    guest: GuestFacts | undefined,
    crashed = guest?.power === "crashed",
  ): Promise<void> {
    const runs = guest?.power === "running" || guest?.power === "paused";
    if (runs || (server.vm_state !== "active" && server.vm_state !== "paused")) return;
    log.info({ server: server.id, host: server.host }, "the guest stopped by itself");
    await transition(t, {
      clock,
      id: server.id,
      from: { task: [null] },
      to: { vm: "stopped", set: { power_state: crashed ? POWER.crashed : POWER.shutdown } },
      action: "sync power state",
    });
  }
}

async function serversOn(t: Tx, host: string): Promise<ServerRow[]> {
  return await t
    .tables<ComputeTables>()
    .selectFrom("servers")
    .selectAll()
    .where("host", "=", host)
    .where("deleted_at", "is", null)
    .execute();
}
