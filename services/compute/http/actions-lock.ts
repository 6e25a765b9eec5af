import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion } from "../../../kernel/http/route.ts";
import { endAction } from "../store/instance-actions.ts";
import { type ServerDetails, updateDetails } from "../store/server-writes.ts";
import type { ServerRow } from "../store/tables.ts";
import { recordFor } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-lock-server";
const WithReason = Type.Union([
  Type.Null(),
  Type.Object(
    { locked_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })) },
    { additionalProperties: false },
  ),
]);

/** lock and unlock. */
export function lockActions(deps: FaceDependencies): Action[] {
  const { store, clock } = deps.kernel;
  const write = (
    request: Pick<ApiRequest, "context" | "requestId">,
    server: ServerRow,
    name: string,
    details: ServerDetails,
  ) =>
    store.tx(async (t) => {
      await updateDetails(t, clock, server.id, details);
      await recordFor(t, deps, request, server, { action: name, operationId: null });
      await endAction(t, clock, request.requestId, "ok");
    });
  return [
    action({
      key: "lock",
      policy: `${RULE}:lock`,
      body: byVersion({ "2.1": Type.Unknown() as unknown as typeof WithReason, "2.73": WithReason }),
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(`${RULE}:lock`, targetOf(server));
        const byOwner = request.context.projectId === server.project_id;
        // What an administrator has locked, its owner does not take over.
        if (server.locked === 1 && byOwner) return undefined;
        const reason = request.version.atLeast("2.73") ? (request.body?.locked_reason ?? null) : null;
        const details = { locked: 1, locked_by_admin: byOwner ? 0 : 1, locked_reason: reason };
        await write(request, server, "lock", details);
        return undefined;
      },
    }),
    action({
      key: "unlock",
      policy: [`${RULE}:unlock`, `${RULE}:unlock:unlock_override`],
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(`${RULE}:unlock`, targetOf(server));
        const byOwner = request.context.projectId === server.project_id;
        if (server.locked === 1 && byOwner === (server.locked_by_admin === 1)) {
          request.authorize(`${RULE}:unlock:unlock_override`, targetOf(server));
        }
        const details = { locked: 0, locked_by_admin: 0, locked_reason: null };
        await write(request, server, "unlock", details);
        return undefined;
      },
    }),
  ];
}
