import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes, seconds } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { guestSpec } from "../guest-spec.ts";
import { getServer } from "../store/servers.ts";
import { homeOf } from "./power.ts";

export interface ServerOnly {
  readonly serverId: string;
}

/** A guest's answer to a hot unplug may take this long, TCG and a busy host included. */
const GUEST_PATIENCE_MS = minutes(2);
const BUSY_RECHECK_MS = seconds(1);

/**
 * Delivers the server's current network information into the running guest. A guest that does not run gets it with its
 * next start, so there is nothing to do for it. Changes no state; can be repeated at will.
 */
export function injectNetworkInfoOperation(deps: ComputeDependencies): Operation<ServerOnly> {
  return networkOperation(deps, "server.inject_network_info", "compute.injectNetworkInfo");
}

/** Takes the guest's network down and brings it up again. */
export function resetNetworkOperation(deps: ComputeDependencies): Operation<ServerOnly> {
  return networkOperation(deps, "server.reset_network", "compute.resetNetwork");
}

/** After a card was attached or detached: the running guest gets exactly the cards of its ports. */
export function syncInterfacesOperation(deps: ComputeDependencies): Operation<ServerOnly> {
  return networkOperation(deps, "server.sync_interfaces", "compute.ensureNics");
}

type NetworkVerb = "compute.injectNetworkInfo" | "compute.resetNetwork" | "compute.ensureNics";

function networkOperation(deps: ComputeDependencies, name: string, verb: NetworkVerb): Operation<ServerOnly> {
  const { clock } = deps.kernel;
  return operation<ServerOnly>(name, { resource: "server", deadlineMs: minutes(5) })
    .step("deliver", {
      effect: async (a, { input }) => {
        const server = await getServer(a.read, input.serverId);
        // Whatever is under way for the server comes first: afterwards the guest may be on another host.
        if (server.task_state !== null) return a.wait({ untilMs: clock.now() + BUSY_RECHECK_MS });
        const to = { host: homeOf(server) };
        const extra = `${server.host}-${a.attempt}`;
        try {
          const { guest } = await a.call(computeVerbs, "compute.inspect", { serverId: server.id }, { to, extra });
          if (guest?.power !== "running") return { delivered: false };
          const spec = await guestSpec(a.read, deps, server);
          // A subject of its own: an operation that begins meanwhile must not find its epoch overtaken by this one's.
          const subject = `${server.id}/network`;
          await a.call(computeVerbs, verb, { spec }, { to, extra, subject, timeoutMs: GUEST_PATIENCE_MS });
          return { delivered: true };
        } catch (error) {
          const now = await getServer(a.read, input.serverId);
          if (now.task_state === null && now.host === server.host) throw error;
          return a.wait({ untilMs: clock.now() + BUSY_RECHECK_MS });
        }
      },
      // Nothing to undo: the guest has what it is to have, or will get it with the next try.
      undo: async () => {},
      span: [0, 100],
    })
    .build();
}
