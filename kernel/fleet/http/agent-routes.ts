import type { Readable } from "node:stream";
import { JoinRequest, PollRequest, ReportRequest } from "../../../agent/protocol/envelope.ts";
import { pileusFace } from "../../http/pileus-face.ts";
import { type Route, route } from "../../http/route.ts";
import type { Fleet } from "../fleet.ts";
import type { Membership } from "../join.ts";

/** Where agents call; see agent/protocol/envelope.ts. */
export const agentsFace = pileusFace({
  name: "agents",
  root: "/v1/agents",
  forStrangers: true,
  // The first poll of a boot lists every guest of the host.
  bodyLimit: 16 * 1024 * 1024,
});

/** Gives an agent the bytes of an image; throws `notFound`. */
export type OpenImage = (imageId: string) => Promise<Readable>;

export function agentRoutes(fleet: Fleet, membership: Membership, openImage: OpenImage): Route[] {
  return [
    route({
      name: "agents.join",
      method: "POST",
      path: "/join",
      auth: "none",
      body: JoinRequest,
      handler: async ({ body }) => ({ body: await membership.join(body.token, body.host) }),
    }),
    route({
      name: "agents.poll",
      method: "POST",
      path: "/poll",
      auth: "agent",
      body: PollRequest,
      async handler({ agent, body, signal, closing }) {
        return { body: await fleet.poll(agent.host, body, AbortSignal.any([signal, closing])) };
      },
    }),
    route({
      name: "agents.report",
      method: "POST",
      path: "/report",
      auth: "agent",
      body: ReportRequest,
      async handler({ agent, body }) {
        await fleet.report(agent.host, body);
        return { body: {} };
      },
    }),
    route({
      name: "agents.images.show",
      method: "GET",
      path: "/images/:id",
      auth: "agent",
      head: false,
      handler: async (request) => ({
        raw: await openImage(request.param("id")),
        contentType: "application/octet-stream",
      }),
    }),
  ];
}
