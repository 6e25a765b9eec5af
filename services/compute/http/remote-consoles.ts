import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { SERIAL_PATH } from "../consoles/console-sockets.ts";
import { issueConsoleToken } from "../consoles/tokens.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-remote-consoles";
const closed = { additionalProperties: false };
const console = (protocols: readonly string[], types: readonly string[]) =>
  Type.Object(
    {
      remote_console: Type.Object(
        {
          protocol: Type.Enum(protocols as [string, ...string[]]),
          type: Type.Enum(types as [string, ...string[]]),
        },
        closed,
      ),
    },
    closed,
  );
const Old = Type.Object({ type: Type.Enum(["serial"]) }, closed);

/** `POST /servers/{id}/remote-consoles`: of the kinds that the API knows, servers here have a serial console. */
export function remoteConsoleRoute(deps: FaceDependencies): Route {
  return route({
    name: "servers.remote-console",
    method: "POST",
    path: "/servers/:id/remote-consoles",
    policy: RULE,
    minVersion: "2.6",
    body: byVersion({
      "2.6": console(["vnc", "spice", "rdp", "serial"], ["novnc", "xvpvnc", "rdp-html5", "spice-html5", "serial"]),
      "2.8": console(
        ["vnc", "spice", "rdp", "serial", "mks"],
        ["novnc", "xvpvnc", "rdp-html5", "spice-html5", "serial", "webmks"],
      ),
      "2.99": console(
        ["vnc", "spice", "rdp", "serial", "mks"],
        ["novnc", "xvpvnc", "rdp-html5", "spice-html5", "spice-direct", "serial", "webmks"],
      ),
    }),
    async handler(request) {
      const { protocol, type } = request.body.remote_console;
      const url = await serialUrl(deps, request, protocol === "serial" && type === "serial");
      return { body: { remote_console: { protocol, type, url } } };
    },
  });
}

/** os-getSerialConsole, its form up to 2.5. */
export function serialConsoleAction(deps: FaceDependencies): Action {
  return action({
    key: "os-getSerialConsole",
    policy: RULE,
    maxVersion: "2.5",
    success: 200,
    body: Old,
    async handler(request) {
      return { body: { console: { type: "serial", url: await serialUrl(deps, request, true) } } };
    },
  });
}

async function serialUrl(
  deps: FaceDependencies,
  request: ApiRequest<unknown, unknown>,
  isSerial: boolean,
): Promise<string> {
  const { store } = deps.kernel;
  const server = await serverOf(store.read, request);
  request.authorize(RULE, targetOf(server));
  if (!isSerial)
    throw new CloudError(
      "invalid",
      "compute.console_type",
      "Unavailable console type: this cloud has serial consoles only.",
    );
  if (server.host === null || server.launched_at === null) {
    throw new CloudError("conflict", "compute.not_ready", `Instance ${server.id} is not ready`);
  }
  const token = await store.tx((t) => issueConsoleToken(t, deps.kernel, { serverId: server.id, type: "serial" }));
  return `${request.urls.base.replace(/^http/, "ws")}${SERIAL_PATH}?token=${token}`;
}
