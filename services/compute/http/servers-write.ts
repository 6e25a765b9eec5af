import { type Static, Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { Description, TrimmedName } from "../../../kernel/http/schemas.ts";
import { mustBeUnlocked } from "../domain/can.ts";
import { abandonAll } from "../operations/compute-operations.ts";
import { listZones } from "../store/host-lists.ts";
import { type ServerDetails, updateDetails } from "../store/server-writes.ts";
import { getServer, transition } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { startFor } from "./accept.ts";
import { invalid } from "./create-request.ts";
import { DiskConfig, FullHostname, Hostname, Ipv4, Ipv6 } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { SERVER_VIEW_RULES, serverView } from "./server-facts.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const UPDATE = "os_compute_api:servers:update";
const DELETE = "os_compute_api:servers:delete";
const FORCE_DELETE = "os_compute_api:os-deferred-delete:force";

const closed = { additionalProperties: false };
const Address4 = Type.Union([Ipv4, Type.Literal("")]);
const Address6 = Type.Union([Ipv6, Type.Literal("")]);
const BASE = {
  name: Type.Optional(TrimmedName),
  "OS-DCF:diskConfig": Type.Optional(DiskConfig),
  accessIPv4: Type.Optional(Address4),
  accessIPv6: Type.Optional(Address6),
};
const DESCRIBED = { ...BASE, description: Type.Optional(Description) };
const ZONE = {
  pinned_availability_zone: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Null()])),
};
const Newest = Type.Object({
  server: Type.Object({ ...DESCRIBED, hostname: Type.Optional(FullHostname), ...ZONE }, closed),
});
const body = (server: object) =>
  Type.Object({ server: Type.Object(server as typeof BASE, closed) }, closed) as unknown as typeof Newest;

/** Update and delete. */
export function serverWrites(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    route({
      name: "servers.update",
      method: "PUT",
      path: "/servers/:id",
      policy: [UPDATE, ...SERVER_VIEW_RULES],
      body: byVersion<typeof Newest>({
        "2.1": body(BASE),
        "2.19": body(DESCRIBED),
        "2.90": body({ ...DESCRIBED, hostname: Type.Optional(Hostname) }),
        "2.94": body({ ...DESCRIBED, hostname: Type.Optional(FullHostname) }),
        "2.104": body({ ...DESCRIBED, hostname: Type.Optional(FullHostname), ...ZONE }),
      }),
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(UPDATE, targetOf(server));
        const details = await detailsOf(deps, request);
        await store.tx((t) => updateDetails(t, clock, server.id, details));
        const updated = await getServer(store.read, server.id);
        const view = await serverView(store.read, deps, request, updated);
        return { body: { server: request.version.atLeast("2.75") ? view : shortened(view) } };
      },
    }),
    route({
      name: "servers.delete",
      method: "DELETE",
      path: "/servers/:id",
      policy: DELETE,
      success: 204,
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(DELETE, targetOf(server));
        await deleteServer(deps, request, server);
        return undefined;
      },
    }),
  ];
}

/** forceDelete: nothing is deleted later here, so it is the same as a delete. */
export function forceDeleteAction(deps: FaceDependencies): Action {
  return action({
    key: "forceDelete",
    policy: FORCE_DELETE,
    async handler(request) {
      const server = await serverOf(deps.kernel.store.read, request);
      request.authorize(FORCE_DELETE, targetOf(server));
      await deleteServer(deps, request, server);
      return undefined;
    },
  });
}

/**
 * From any state, whatever is under way: that is fenced first. A second delete joins the first. A volume that is changing does not
 * hold it up: that is given up when its change has ended.
 */
async function deleteServer(deps: FaceDependencies, request: ApiRequest<unknown>, server: ServerRow): Promise<void> {
  const { store, clock } = deps.kernel;
  mustBeUnlocked(server, request.context.isAdmin);
  if (server.task_state === "deleting") return;
  await store.tx(async (t) => {
    await abandonAll(t, deps, deps.operations, server.id, { cleanup: false });
    await transition(t, { clock, id: server.id, from: {}, to: { task: "deleting" }, action: "delete" });
    await startFor(t, deps, request, server, {
      action: "delete",
      operation: deps.operations.delete,
      input: { serverId: server.id },
    });
  });
}

async function detailsOf(deps: FaceDependencies, request: ApiRequest<Static<typeof Newest>>): Promise<ServerDetails> {
  const { server } = request.body;
  const zone = server.pinned_availability_zone;
  if (zone !== undefined && zone !== null && !(await listZones(deps.kernel.store.read)).includes(zone)) {
    throw invalid("zone", "The requested availability zone is not available");
  }
  return {
    ...(server.name === undefined ? {} : { name: server.name }),
    ...(server.description === undefined ? {} : { description: server.description }),
    ...(server.hostname === undefined ? {} : { hostname: server.hostname }),
    ...(server["OS-DCF:diskConfig"] === undefined ? {} : { disk_config: server["OS-DCF:diskConfig"] }),
    ...(server.accessIPv4 === undefined ? {} : { access_ipv4: server.accessIPv4 || null }),
    ...(server.accessIPv6 === undefined ? {} : { access_ipv6: server.accessIPv6 || null }),
    ...(zone === undefined ? {} : { requested_zone: zone }),
  };
}

const ONLY_IN_SHOW = [
  "key_name",
  "config_drive",
  "security_groups",
  "host_status",
  "os-extended-volumes:volumes_attached",
];

/** Below 2.75 an update answers without what extensions had added to the representation. */
function shortened(view: Json): Json {
  const kept = Object.entries(view).filter(
    ([key]) => !ONLY_IN_SHOW.includes(key) && !key.startsWith("OS-EXT-") && !key.startsWith("OS-SRV-USG:"),
  );
  return { ...Object.fromEntries(kept), addresses: bareAddresses(view.addresses) };
}

function bareAddresses(addresses: unknown): Json {
  const byNetwork = Object.entries(addresses as Record<string, { version: number; addr: string }[]>);
  return Object.fromEntries(
    byNetwork.map(([network, list]) => [network, list.map(({ version, addr }) => ({ version, addr }))]),
  );
}
