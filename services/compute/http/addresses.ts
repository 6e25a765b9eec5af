import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:ips";

/** `/servers/{id}/ips`: addresses by network, without their cards. */
export function addressRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const read = async (request: ApiRequest<unknown, unknown>, rule: string) => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    const addresses = (await deps.network.networkInfo(q, [server.id])).get(server.id) ?? {};
    return Object.fromEntries(
      Object.entries(addresses).map(([network, list]) => [
        network,
        list.map(({ version, addr }) => ({ version, addr })),
      ]),
    );
  };
  return [
    route({
      name: "servers.ips.list",
      method: "GET",
      path: "/servers/:id/ips",
      policy: `${RULE}:index`,
      handler: async (request) => ({ body: { addresses: await read(request, `${RULE}:index`) } }),
    }),
    route({
      name: "servers.ips.show",
      method: "GET",
      path: "/servers/:id/ips/:network",
      policy: `${RULE}:show`,
      async handler(request) {
        const name = request.param("network");
        const list = own(await read(request, `${RULE}:show`), name);
        if (!list)
          throw new CloudError(
            "notFound",
            "compute.network_not_found",
            "Instance is not a member of specified network",
          );
        return { body: { [name]: list } };
      },
    }),
  ];
}
