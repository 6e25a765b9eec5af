import { Type } from "typebox";
import { CloudError } from "../../errors/cloud-error.ts";
import { pileusFace } from "../../http/pileus-face.ts";
import { type Route, route } from "../../http/route.ts";
import { HostName } from "../../http/schemas.ts";
import type { Loggers } from "../../log/logger.ts";
import type { RuleDefault } from "../../policy/policy.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import type { FleetTables } from "../tables.ts";

/** Pileus' own API: `/v1/log-levels`, the levels of real loggers in this process and in the agents. */
export const logLevelsFace = pileusFace({
  name: "log-levels",
  root: "/v1/log-levels",
});

export const logLevelPolicies: readonly RuleDefault[] = [
  { name: "pileus:log-levels:list", rule: "role:admin", description: "See how much each logger says." },
  { name: "pileus:log-levels:set", rule: "role:admin", description: "Make loggers say more or less." },
];

const Level = Type.Union([Type.Literal("debug"), Type.Literal("info"), Type.Literal("warn"), Type.Literal("error")]);

export function logLevelRoutes(deps: { loggers: Loggers; fleet: Fleet; store: Store }): Route[] {
  const { loggers, fleet, store } = deps;
  return [
    route({
      name: "log-levels.list",
      method: "GET",
      path: "",
      policy: "pileus:log-levels:list",
      query: Type.Object({ prefix: Type.Optional(Type.String()) }),
      handler(request) {
        request.authorize("pileus:log-levels:list");
        return { body: { levels: loggers.levels(request.query.prefix ?? "") } };
      },
    }),
    route({
      name: "log-levels.set",
      method: "PUT",
      path: "",
      policy: "pileus:log-levels:set",
      success: 204,
      body: Type.Object(
        { prefix: Type.Optional(Type.String({ maxLength: 255 })), level: Level, host: Type.Optional(HostName) },
        { additionalProperties: false },
      ),
      async handler(request) {
        request.authorize("pileus:log-levels:set");
        const { prefix = "", level, host } = request.body;
        if (host === undefined) loggers.setLevel(prefix, level);
        else if (await isHost(store, host)) await fleet.setLogLevels(host, { [prefix]: level });
        else throw new CloudError("notFound", "fleet.host_not_found", `Host ${host} could not be found.`);
        return undefined;
      },
    }),
  ];
}

async function isHost(store: Store, name: string): Promise<boolean> {
  const row = await store.read
    .tables<FleetTables>()
    .selectFrom("hosts")
    .select("id")
    .where("name", "=", name)
    .executeTakeFirst();
  return row !== undefined;
}
