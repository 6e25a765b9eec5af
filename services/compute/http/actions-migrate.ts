import { type Static, Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion } from "../../../kernel/http/route.ts";
import { HostName } from "../../../kernel/http/schemas.ts";
import { GATES, hostOf, mustBeUnlocked, mustLeaveHost, mustPass } from "../domain/can.ts";
import { flavorOf } from "../store/servers.ts";
import { accept } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mustBeComputeHost, mustBeUp } from "./host-checks.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-migrate-server:migrate";
const ToHost = Type.Union([
  Type.Null(),
  Type.Object({ host: Type.Optional(Type.Union([HostName, Type.Null()])) }, { additionalProperties: false }),
]);
const Anything = Type.Unknown() as unknown as typeof ToHost;

/** Cold migration. Below 2.56 the value says nothing and the scheduler chooses. */
export function migrateAction(deps: FaceDependencies): Action {
  const q = deps.kernel.store.read;
  return action({
    key: "migrate",
    policy: [RULE, `${RULE}:host`],
    body: byVersion({ "2.1": Anything, "2.56": ToHost }),
    async handler(request) {
      const host = wantedHost(request);
      const server = await serverOf(q, request);
      request.authorize(host === null ? RULE : `${RULE}:host`, targetOf(server));
      mustBeUnlocked(server, request.context.isAdmin);
      mustPass(GATES.migrate, server, "migrate");
      await mustBeUp(q, deps, hostOf(server));
      mustLeaveHost(server, host);
      await mustBeComputeHost(q, host);
      await accept(deps, request, server, {
        name: "migrate",
        action: "migrate",
        operation: deps.operations.resize,
        input: {
          serverId: server.id,
          kind: "migration",
          flavor: flavorOf(server),
          host,
          wasRunning: server.vm_state === "active",
        },
        task: "resize_prep",
      });
      return undefined;
    },
  });
}

function wantedHost(request: ApiRequest<Static<typeof ToHost>>): string | null {
  return request.version.atLeast("2.56") ? (request.body?.host ?? null) : null;
}
