import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { seconds } from "../../../kernel/clock/clock.ts";
import type { Commands } from "../../../kernel/fleet/commands.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { ConsoleBroker } from "./broker.ts";

const PATIENCE_MS = seconds(15);

/** Consoles by way of the fleet's agents. */
export function agentConsoles(commands: Commands, ids: IdSource): ConsoleBroker {
  const to = (host: string, serverId: string) => ({ host, subject: serverId, id: ids.uuid(), timeoutMs: PATIENCE_MS });
  return {
    async output(host, serverId, lines) {
      const { output } = await commands.ask(
        computeVerbs,
        "compute.consoleLog",
        { serverId, lines },
        to(host, serverId),
      );
      return output;
    },
    async open(host, serverId, sessionId) {
      await commands.ask(computeVerbs, "compute.openConsole", { serverId, sessionId }, to(host, serverId));
    },
  };
}
