import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import { factsOf } from "../domain/backend-facts.ts";
import { withoutPool } from "../domain/place.ts";
import { poolCapabilities } from "../domain/pool-capabilities.ts";
import { schedulablePools } from "../scheduler/pools.ts";
import { poolFitsType } from "../scheduler/type-fit.ts";
import { findBackend } from "../store/backends.ts";
import { findType } from "../store/find-type.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { backendCapabilities } from "./pool-view.ts";

const POOLS = "scheduler_extension:scheduler_stats:get_pools";
const CAPABILITIES = "volume_extension:capabilities";

const text = Type.Optional(Type.String());
const Plain = Type.Object({ detail: text });
const ByName = Type.Object({ detail: text, name: text });
const ByType = Type.Object({ detail: text, name: text, volume_type: text });

/** `/scheduler-stats/get_pools`, `/capabilities/{host}` */
export function schedulerStatsRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "scheduler-stats.get_pools",
      method: "GET",
      path: "/scheduler-stats/get_pools",
      policy: POOLS,
      query: byVersion<typeof Plain>({ "3.0": Plain, "3.28": ByName, "3.35": ByType }),
      strictQueryFrom: "3.31",
      async handler(request) {
        request.authorize(POOLS);
        const asked: { detail?: string; name?: string; volume_type?: string } = request.query;
        const detail = booleanOf(asked.detail ?? "false");
        let pools = await schedulablePools(store.read, deps);
        if (asked.name !== undefined) pools = pools.filter((pool) => pool.name === asked.name);
        if (asked.volume_type !== undefined) {
          const type = await findType(store.read, asked.volume_type);
          if (!type) throw typeNotFound(asked.volume_type);
          pools = pools.filter((pool) => poolFitsType(poolCapabilities(pool), type));
        }
        const view = ({ name }: { name: string }) => ({ name });
        return {
          body: {
            pools: pools.map((pool) => (detail ? { ...view(pool), capabilities: poolCapabilities(pool) } : view(pool))),
          },
        };
      },
    }),
    route({
      name: "capabilities.show",
      method: "GET",
      path: "/capabilities/:host",
      policy: CAPABILITIES,
      async handler(request) {
        request.authorize(CAPABILITIES);
        const host = request.param("host");
        const backend = await findBackend(store.read, withoutPool(host));
        if (!backend) {
          throw new CloudError("notFound", "block-storage.backend_not_found", `Backend ${host} could not be found.`);
        }
        return { body: backendCapabilities(factsOf(backend)) };
      },
    }),
  ];
}

function booleanOf(value: string): boolean {
  const parsed = looseBoolean(value);
  if (parsed !== undefined) return parsed;
  throw new CloudError("invalid", "block-storage.bad_boolean", `'${value}' is no boolean.`);
}

function typeNotFound(type: string): CloudError {
  return new CloudError("notFound", "block-storage.type_not_found", `Volume type ${type} could not be found.`);
}
