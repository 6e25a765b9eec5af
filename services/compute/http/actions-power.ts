import { type TSchema, Type } from "typebox";
import { type Action, action } from "../../../kernel/http/route.ts";
import { GATES, type Gate, hostOf, mustBeUnlocked, mustPass } from "../domain/can.ts";
import type { TaskState } from "../domain/server-state.ts";
import type { PowerAction } from "../operations/power.ts";
import { accept } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

interface PowerRule {
  readonly key: string;
  readonly name: PowerAction;
  readonly policy: string;
  readonly gate: Gate;
  readonly task: TaskState;
}

const RULES: readonly PowerRule[] = [
  { key: "os-start", name: "start", policy: "os_compute_api:servers:start", gate: GATES.start, task: "powering-on" },
  { key: "os-stop", name: "stop", policy: "os_compute_api:servers:stop", gate: GATES.stop, task: "powering-off" },
  { key: "pause", name: "pause", policy: "os_compute_api:os-pause-server:pause", gate: GATES.pause, task: "pausing" },
  {
    key: "unpause",
    name: "unpause",
    policy: "os_compute_api:os-pause-server:unpause",
    gate: GATES.unpause,
    task: "unpausing",
  },
];

const REBOOT = "os_compute_api:servers:reboot";
const Reboot = Type.Object(
  { type: Type.Enum(["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]) },
  { additionalProperties: false },
);

/** os-start, os-stop, pause, unpause and reboot. */
export function powerActions(deps: FaceDependencies): Action[] {
  const q = deps.kernel.store.read;
  const simple = (rule: PowerRule) =>
    action<TSchema>({
      key: rule.key,
      policy: rule.policy,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(rule.policy, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        const host = hostOf(server);
        mustPass(rule.gate, server, rule.name);
        const input = { serverId: server.id, host, rebootType: null };
        const { task, name } = rule;
        await accept(deps, request, server, {
          action: name,
          operation: deps.operations.power[name],
          input,
          task,
          name,
        });
        return undefined;
      },
    });
  return [
    ...RULES.map(simple),
    action({
      key: "reboot",
      policy: REBOOT,
      body: Reboot,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(REBOOT, targetOf(server));
        const hard = request.body.type.toLowerCase() === "hard";
        const gate = hard ? GATES.hardReboot : GATES.softReboot;
        mustBeUnlocked(server, request.context.isAdmin);
        mustPass(gate, server, "reboot");
        const host = hostOf(server);
        await accept(deps, request, server, {
          name: "reboot",
          action: "reboot",
          operation: deps.operations.power.reboot,
          input: { serverId: server.id, host, rebootType: hard ? "hard" : "soft" },
          task: hard ? "rebooting_hard" : "rebooting",
        });
        return undefined;
      },
    }),
  ];
}
