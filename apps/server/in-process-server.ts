import type { Duplex } from "node:stream";
import type { InProcessServer } from "../../agent/runtime/in-process-link.ts";
import type { Fleet } from "../../kernel/fleet/fleet.ts";
import type { OpenImage } from "../../kernel/fleet/http/agent-routes.ts";
import type { Membership } from "../../kernel/fleet/join.ts";

/** The server as simulated hosts of the same process reach it: the agents' endpoints without the wire. */
export function inProcessServer(
  fleet: Fleet,
  membership: Membership,
  openImage: OpenImage,
  joinConsole: (host: string, sessionId: string) => Duplex,
): InProcessServer {
  return {
    join: ({ token, host }) => membership.join(token, host),
    poll: (host, request, signal) => fleet.poll(host, request, signal),
    report: (host, request) => fleet.report(host, request),
    heartbeat: async (hosts) => fleet.heartbeat(hosts),
    subscribe: (wake) => fleet.subscribe(wake),
    fetchImage: (_host, imageId) => openImage(imageId),
    openConsole: async (host, sessionId) => joinConsole(host, sessionId),
  };
}
