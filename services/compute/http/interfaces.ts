import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { UuidLike } from "../../../kernel/http/schemas.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { PortInfo, RequestedNic } from "../../network/public.ts";
import { GATES, hostOf, mustBeUnlocked, mustPass } from "../domain/can.ts";
import type { ServerRow } from "../store/tables.ts";
import { startFor } from "./accept.ts";
import { invalid } from "./create-request.ts";
import { Tag } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-attach-interfaces";
const closed = { additionalProperties: false };
const BASE = {
  net_id: Type.Optional(UuidLike),
  port_id: Type.Optional(UuidLike),
  fixed_ips: Type.Optional(
    Type.Array(Type.Object({ ip_address: Type.String({ maxLength: 45 }) }, closed), { minItems: 1, maxItems: 1 }),
  ),
};
const Newest = Type.Object({ interfaceAttachment: Type.Object({ ...BASE, tag: Type.Optional(Tag) }, closed) }, closed);
const Untagged = Type.Object({ interfaceAttachment: Type.Object(BASE, closed) }, closed) as unknown as typeof Newest;
type AnyRequest = ApiRequest<unknown, unknown>;

/** `/servers/{id}/os-interface`: the server's cards. Ports change at once, the running guest a moment later. */
export function interfaceRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const q = store.read;
  const path = "/servers/:id/os-interface";
  const change = async <T>(
    request: AnyRequest,
    rule: string,
    name: string,
    act: (t: Tx, server: ServerRow) => Promise<T>,
  ) => {
    const server = await serverOf(q, request);
    request.authorize(rule, targetOf(server));
    mustBeUnlocked(server, request.context.isAdmin);
    hostOf(server);
    mustPass(GATES.interfaces, server, name);
    return await store.tx(async (t) => {
      const result = await act(t, server);
      const operation = deps.operations.syncInterfaces;
      await startFor(t, deps, request, server, { action: name, operation, input: { serverId: server.id } });
      return result;
    });
  };
  return [
    route({
      name: "servers.interfaces.list",
      method: "GET",
      path,
      policy: `${RULE}:list`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:list`, targetOf(server));
        const ports = await deps.network.portsOf(q, server.id);
        return { body: { interfaceAttachments: ports.map((port) => view(port, request)) } };
      },
    }),
    route({
      name: "servers.interfaces.show",
      method: "GET",
      path: `${path}/:port`,
      policy: `${RULE}:show`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:show`, targetOf(server));
        const id = request.param("port");
        const port = (await deps.network.portsOf(q, server.id)).find(({ portId }) => portId === id);
        if (!port) {
          throw new CloudError(
            "notFound",
            "compute.port_not_attached",
            `Instance ${server.id} does not have a port with id ${id.slice(0, 80)}`,
          );
        }
        return { body: { interfaceAttachment: view(port, request) } };
      },
    }),
    route({
      name: "servers.interfaces.attach",
      method: "POST",
      path,
      policy: `${RULE}:create`,
      body: byVersion<typeof Newest>({ "2.1": Untagged, "2.49": Newest }),
      async handler(request) {
        const nic = wantedNic(request.body);
        const port = await change(request, `${RULE}:create`, "attach_interface", (t, server) =>
          deps.network.attachPort(t, {
            projectId: server.project_id,
            serverId: server.id,
            host: server.host,
            isAdmin: request.context.isAdmin,
            nic,
            securityGroups: [],
          }),
        );
        return { body: { interfaceAttachment: view(port, request) } };
      },
    }),
    route({
      name: "servers.interfaces.detach",
      method: "DELETE",
      path: `${path}/:port`,
      policy: `${RULE}:delete`,
      success: 202,
      async handler(request) {
        await change(request, `${RULE}:delete`, "detach_interface", (t, server) =>
          deps.network.detachPort(t, server.id, request.param("port")),
        );
        return undefined;
      },
    }),
  ];
}

function wantedNic({ interfaceAttachment: wanted }: Static<typeof Newest>): RequestedNic {
  const tag = wanted.tag === undefined ? {} : { tag: wanted.tag };
  const address = wanted.fixed_ips?.[0]?.ip_address;
  if (wanted.port_id !== undefined) {
    if (wanted.net_id !== undefined) throw invalid("network", "Must not input both network_id and port_id");
    if (address !== undefined) throw invalid("network", "Must input network_id when request IP address");
    return { portId: wanted.port_id, ...tag };
  }
  if (wanted.net_id === undefined) {
    throw invalid("network", "A network or a port to attach must be given.");
  }
  return { networkId: wanted.net_id, ...(address === undefined ? {} : { fixedIp: address }), ...tag };
}

function view(port: PortInfo, request: Pick<ApiRequest, "version">): Json {
  return {
    port_id: port.portId,
    net_id: port.networkId,
    mac_addr: port.mac,
    port_state: port.status,
    fixed_ips: port.fixedIps.map(({ subnetId, address }) => ({ subnet_id: subnetId, ip_address: address })),
    ...(request.version.atLeast("2.70") ? { tag: port.tag } : {}),
  };
}
