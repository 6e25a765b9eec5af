import { type Static, Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion } from "../../../kernel/http/route.ts";
import { BodyBoolean, HostName, isTrue } from "../../../kernel/http/schemas.ts";
import { forceNeedsHost, GATES, hostOf, mustLeaveHost, mustPass } from "../domain/can.ts";
import { POWER } from "../domain/server-state.ts";
import { abandonAll } from "../operations/compute-operations.ts";
import { getHost } from "../store/hosts.ts";
import { endOpenMigrations } from "../store/migration-records.ts";
import { transition } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { startFor } from "./accept.ts";
import { invalid } from "./create-request.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { computeIsUp } from "./host-checks.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-evacuate";
const closed = { additionalProperties: false };
const COMMON = { host: Type.Optional(HostName), adminPass: Type.Optional(Type.String({ maxLength: 255 })) };
const Newest = Type.Object(COMMON, closed);
type Body = Static<typeof Newest> & { onSharedStorage?: boolean | string; force?: boolean | string };

/** Rebuilds a server of a dead host elsewhere. Not protected by a lock, and answers 200. */
export function evacuateAction(deps: FaceDependencies): Action {
  const q = deps.kernel.store.read;
  return action({
    key: "evacuate",
    policy: RULE,
    success: 200,
    body: byVersion<typeof Newest>({
      "2.1": Type.Object({ ...COMMON, onSharedStorage: BodyBoolean }, closed) as unknown as typeof Newest,
      "2.14": Newest,
      "2.29": Type.Object({ ...COMMON, force: Type.Optional(BodyBoolean) }, closed) as unknown as typeof Newest,
      "2.68": Newest,
    }),
    async handler(request) {
      const body: Body = request.body;
      const host = body.host ?? null;
      const server = await serverOf(q, request);
      request.authorize(RULE, targetOf(server));
      const force = body.force !== undefined && isTrue(body.force);
      const shared = body.onSharedStorage !== undefined && isTrue(body.onSharedStorage);
      forceNeedsHost(force, host);
      if (shared && body.adminPass !== undefined) {
        throw invalid("password", "admin password can't be changed on existing disk");
      }
      if (host !== null) await getHost(q, host);
      mustLeaveHost(server, host);
      mustPass(GATES.evacuate, server, "evacuate");
      if (await computeIsUp(q, deps, hostOf(server))) {
        throw invalid(
          "host",
          `Compute service of ${hostOf(server)} is still in use. When that host is known to be dead, force it down first.`,
        );
      }
      await start(deps, request, server, { host, force: force || (host !== null && request.version.below("2.29")) });
      if (request.version.atLeast("2.14")) return undefined;
      const password = body.adminPass ?? deps.kernel.ids.secret(PASSWORD_LENGTH).slice(0, PASSWORD_LENGTH);
      return { body: { adminPass: shared ? null : password } };
    },
  });
}

const PASSWORD_LENGTH = 12;

/** Whatever was under way for the server can't end on a dead host: it is fenced before the server is started elsewhere. */
async function start(
  deps: FaceDependencies,
  request: ApiRequest<Static<typeof Newest>>,
  server: ServerRow,
  target: { host: string | null; force: boolean },
): Promise<void> {
  const { store, clock } = deps.kernel;
  await store.tx(async (t) => {
    const now = await abandonAll(t, deps, deps.operations, server.id, { cleanup: true });
    const wasInError = now.vm_state === "error";
    await endOpenMigrations(t, clock, server.id, "error");
    await transition(t, {
      clock,
      id: server.id,
      from: { vm: GATES.evacuate.vm },
      to: { task: "rebuilding" },
      action: "evacuate",
    });
    await startFor(t, deps, request, server, {
      action: "evacuate",
      operation: deps.operations.evacuate,
      input: {
        serverId: server.id,
        ...target,
        stopAfter: request.version.atLeast("2.95") && !wasInError,
        wasRunning: now.vm_state === "active" || (wasInError && now.power_state === POWER.running),
      },
    });
  });
}
