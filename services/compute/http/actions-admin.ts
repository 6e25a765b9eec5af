import { Type } from "typebox";
import { type Action, action } from "../../../kernel/http/route.ts";
import { hostOf, mustBeUnlocked } from "../domain/can.ts";
import { abandonAll } from "../operations/compute-operations.ts";
import { endAction } from "../store/instance-actions.ts";
import { endOpenMigrations } from "../store/migration-records.ts";
import { forceState } from "../store/servers.ts";
import { recordFor, startFor } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-admin-actions";
const ResetState = Type.Object({ state: Type.Enum(["active", "error"]) }, { additionalProperties: false });

/** injectNetworkInfo, resetNetwork and os-resetState. */
export function adminActions(deps: FaceDependencies): Action[] {
  const { store, clock } = deps.kernel;
  const onGuest = (key: "injectNetworkInfo" | "resetNetwork", rule: string) =>
    action({
      key,
      policy: rule,
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(rule, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        hostOf(server);
        const operation = deps.operations[key];
        await store.tx((t) =>
          startFor(t, deps, request, server, { action: null, operation, input: { serverId: server.id } }),
        );
        return undefined;
      },
    });
  return [
    onGuest("injectNetworkInfo", `${RULE}:inject_network_info`),
    onGuest("resetNetwork", `${RULE}:reset_network`),
    action({
      key: "os-resetState",
      policy: `${RULE}:reset_state`,
      body: ResetState,
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(`${RULE}:reset_state`, targetOf(server));
        const { state } = request.body;
        await store.tx(async (t) => {
          await abandonAll(t, deps, deps.operations, server.id, { cleanup: true });
          await endOpenMigrations(t, clock, server.id, "error");
          await forceState(t, clock, server.id, state === "active" ? "active" : "error");
          await recordFor(t, deps, request, server, { action: "resetState", operationId: null });
          await endAction(t, clock, request.requestId, "ok");
        });
        return undefined;
      },
    }),
  ];
}
