import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { AVAILABILITY_ZONE } from "./networks.ts";

/** One availability zone; no agents, because hosts wire their ports themselves. */
export const infrastructureRoutes: readonly Route[] = [
  route({
    name: "availability_zones.list",
    method: "GET",
    path: "/availability_zones",
    policy: "get_availability_zone",
    handler(request) {
      request.authorize("get_availability_zone");
      const zone = { name: AVAILABILITY_ZONE, resource: "network", state: "available" };
      return { body: { availability_zones: [zone] } };
    },
  }),
  route({
    name: "agents.list",
    method: "GET",
    path: "/agents",
    policy: "get_agent",
    handler(request) {
      request.authorize("get_agent");
      return { body: { agents: [] } };
    },
  }),
  route({
    name: "agents.show",
    method: "GET",
    path: "/agents/:id",
    policy: "get_agent",
    handler(request) {
      request.authorize("get_agent");
      const id = request.param("id");
      throw new CloudError("notFound", "network.agent_not_found", `Agent ${id} could not be found.`);
    },
  }),
];
