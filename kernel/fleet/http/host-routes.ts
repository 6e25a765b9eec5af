import { Type } from "typebox";
import type { Clock } from "../../clock/clock.ts";
import { isoSeconds } from "../../clock/clock.ts";
import { pileusFace } from "../../http/pileus-face.ts";
import { type Route, route } from "../../http/route.ts";
import { HostName } from "../../http/schemas.ts";
import type { RuleDefault } from "../../policy/policy.ts";
import type { Store } from "../../store/store.ts";
import type { Membership } from "../join.ts";
import { isUp, listServices } from "../services.ts";
import type { FleetSettings } from "../settings.ts";
import type { FleetTables, HostRow, ServiceRow } from "../tables.ts";

/** Pileus' own API: `/v1/hosts`. */
export const hostsFace = pileusFace({
  name: "hosts",
  root: "/v1/hosts",
});

export const hostPolicies: readonly RuleDefault[] = [
  { name: "pileus:hosts:list", rule: "role:admin", description: "List hosts and what they provide." },
  { name: "pileus:hosts:token", rule: "role:admin", description: "Make a one-time token with which a host joins." },
];

export function hostRoutes(deps: {
  store: Store;
  clock: Clock;
  membership: Membership;
  settings: FleetSettings;
}): Route[] {
  const { store, clock, membership, settings } = deps;
  return [
    route({
      name: "hosts.list",
      method: "GET",
      path: "",
      policy: "pileus:hosts:list",
      async handler(request) {
        request.authorize("pileus:hosts:list");
        const hosts = await store.read.tables<FleetTables>().selectFrom("hosts").selectAll().orderBy("name").execute();
        const services = Map.groupBy(await listServices(store.read), (row) => row.node);
        return {
          body: { hosts: hosts.map((host) => hostView(host, services.get(host.name) ?? [], clock.now(), settings)) },
        };
      },
    }),
    route({
      name: "hosts.token.create",
      method: "POST",
      path: "/tokens",
      policy: "pileus:hosts:token",
      success: 201,
      body: Type.Object({ host: Type.Optional(HostName) }, { additionalProperties: false }),
      async handler(request) {
        request.authorize("pileus:hosts:token");
        return { body: { token: await membership.createToken(request.body.host ?? null) } };
      },
    }),
  ];
}

function hostView(host: HostRow, services: readonly ServiceRow[], now: number, settings: FleetSettings) {
  return {
    name: host.name,
    last_seen: host.last_seen === null ? null : isoSeconds(host.last_seen),
    created_at: isoSeconds(host.created_at),
    services: services.map((row) => ({
      binary: row.binary_name,
      status: row.disabled === 1 ? "disabled" : "enabled",
      state: isUp(row, now, settings) ? "up" : "down",
      cluster: row.cluster,
      facts: JSON.parse(row.facts) as unknown,
    })),
  };
}
