import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { mayFailOver } from "../domain/replication-state.ts";
import { scopeTarget } from "../operations/scope-calls.ts";
import { stateOfScope, updateScope } from "../store/backends.ts";
import { findScope } from "../store/find-scope.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { HostText, TextOrNull } from "./schemas.ts";
import { asked } from "./service-freeze.ts";

const UPDATE = "volume_extension:services:update";
const RULE = "volume:failover_host";

const Body = Type.Object(
  {
    host: Type.Optional(HostText),
    cluster: Type.Optional(TextOrNull),
    backend_id: Type.Optional(TextOrNull),
  },
  { additionalProperties: false },
);

/** `PUT /os-services/failover_host`, and since 3.26 `/failover`: the same, both for hosts and clusters. */
export function serviceFailoverRoutes(deps: FaceDependencies): Route[] {
  return [failoverRoute("failover_host"), failoverRoute("failover", "3.26")];

  function failoverRoute(name: string, minVersion?: string): Route {
    return route({
      name: `services.${name}`,
      method: "PUT",
      path: `/os-services/${name}`,
      ...(minVersion === undefined ? {} : { minVersion }),
      policy: [UPDATE, RULE],
      success: 202,
      body: Body,
      async handler(request) {
        request.authorize(UPDATE);
        request.authorize(RULE);
        const { store, clock, operations } = deps.kernel;
        const { userId, projectId } = request.context;
        await store.tx(async (t) => {
          const scope = await findScope(t, deps, asked(request));
          const { replication_status: status } = stateOfScope(scope);
          if (!mayFailOver(status)) {
            throw new CloudError(
              "invalid",
              "block-storage.replication_status",
              `${scope.name} cannot fail over while its replication status is '${status}'.`,
            );
          }
          if (!scope.up) {
            throw new CloudError("invalid", "block-storage.backend_down", `${scope.name} is down.`);
          }
          await updateScope(t, clock, scope, { replication_status: "failing-over" });
          await operations.start(t, deps.operations.failover, {
            input: { ...scopeTarget(scope), target: request.body.backend_id || null },
            resourceId: scope.name,
            projectId,
            userId,
            requestId: request.requestId,
          });
        });
        return undefined;
      },
    });
  }
}
