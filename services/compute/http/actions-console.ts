import { type TSchema, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Action, action } from "../../../kernel/http/route.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-console-output";
const Length: TSchema = Type.Union([
  Type.Integer({ minimum: -1 }),
  Type.String({ pattern: "^-?[0-9]{1,9}$" }),
  Type.Null(),
]);
const Output = Type.Object({ length: Type.Optional(Length) }, { additionalProperties: false });

/** os-getConsoleOutput */
export function consoleOutputAction(deps: FaceDependencies): Action {
  return action({
    key: "os-getConsoleOutput",
    policy: RULE,
    success: 200,
    body: Output,
    async handler(request) {
      const server = await serverOf(deps.kernel.store.read, request);
      request.authorize(RULE, targetOf(server));
      if (server.host === null || server.launched_at === null) {
        throw new CloudError("conflict", "compute.not_ready", `Instance ${server.id} is not ready`);
      }
      const length = request.body.length ?? null;
      const lines = length === null || Number(length) < 0 ? null : Number(length);
      return { body: { output: lines === 0 ? "" : await deps.consoles.output(server.host, server.id, lines) } };
    },
  });
}
