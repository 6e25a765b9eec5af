import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
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
  return operation<ServerOnly>(name, { resource: "server", deadlineMs: minutes(5) })
    .step("deliver", {
      effect: async (a, { input }) => {
        const server = await getServer(a.read, input.serverId);
        const to = { host: homeOf(server) };
        const { guest } = await a.call(computeVerbs, "compute.inspect", { serverId: server.id }, { to });
        if (guest?.power !== "running") return { delivered: false };
        const spec = await guestSpec(a.read, deps, server);
        await a.call(computeVerbs, verb, { spec }, { to, timeoutMs: GUEST_PATIENCE_MS });
        return { delivered: true };
      },
      // Nothing to undo: the guest has what it is to have, or will get it with the next try.
      undo: async () => {},
      span: [0, 100],
    })
    .build();
}
