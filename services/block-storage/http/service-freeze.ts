import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { scopeTarget } from "../operations/scope-calls.ts";
import { stateOfScope, updateScope } from "../store/backends.ts";
import { findScope, type ScopeRequest } from "../store/find-scope.ts";
import { freezeService, thawServices } from "../store/switch-services.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { HostText, TextOrNull } from "./schemas.ts";

const UPDATE = "volume_extension:services:update";

const Body = Type.Object(
  { host: Type.Optional(HostText), cluster: Type.Optional(TextOrNull) },
  { additionalProperties: false },
);

/** What the request may be about at its version: clusters are known since 3.26, and ignored before. */
export function asked(request: Pick<ApiRequest<ScopeRequest, never>, "body" | "version">): ScopeRequest {
  const { host, cluster } = request.body;
  return { host, cluster: request.version.atLeast("3.26") ? cluster : null };
}

/** `PUT /os-services/freeze`, `/thaw` */
export function serviceFreezeRoutes(deps: FaceDependencies): Route[] {
  return [freezeRoute("freeze", true), freezeRoute("thaw", false)];

  function freezeRoute(name: string, frozen: boolean): Route {
    const rule = `volume:${name}_host`;
    return route({
      name: `services.${name}`,
      method: "PUT",
      path: `/os-services/${name}`,
      policy: [UPDATE, rule],
      body: Body,
      async handler(request) {
        request.authorize(UPDATE);
        request.authorize(rule);
        await setFrozen(asked(request), frozen, request);
        return undefined;
      },
    });
  }

  async function setFrozen(about: ScopeRequest, frozen: boolean, { requestId }: { requestId: string }): Promise<void> {
    const { store, clock, operations } = deps.kernel;
    const { tellFrozen } = deps.operations;
    await store.tx(async (t) => {
      const scope = await findScope(t, deps, about);
      if ((stateOfScope(scope).frozen === 1) === frozen) {
        const already = frozen ? "frozen already" : "not frozen";
        throw new CloudError("invalid", "block-storage.frozen_already", `${scope.name} is ${already}.`);
      }
      const service = scope.named.record.host;
      await updateScope(t, clock, scope, { frozen: frozen ? 1 : 0 });
      if (frozen) await freezeService(t, clock, service);
      else await thawServices(t, clock, scope, service);
      // What was to be told before is no longer so.
      for (const live of await liveOperations(t, scope.name))
        if (live.name === tellFrozen.name) await operations.abandon(t, live.id);
      const input = { ...scopeTarget(scope), frozen };
      await operations.start(t, tellFrozen, { input, resourceId: scope.name, requestId });
    });
  }
}
