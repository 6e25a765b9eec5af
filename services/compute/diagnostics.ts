import { computeVerbs } from "../../agent/protocol/compute.ts";
import type { GuestDiagnostics } from "../../agent/protocol/diagnostics.ts";
import { seconds } from "../../kernel/clock/clock.ts";
import type { Commands } from "../../kernel/fleet/commands.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";

const PATIENCE_MS = seconds(15);

/** Asks a host what a guest has used. Throws what the driver throws, and `unavailable` when the host does not answer. */
export type Diagnose = (host: string, serverId: string) => Promise<GuestDiagnostics>;

/** By way of the fleet's agents. */
export function agentDiagnostics(commands: Commands, ids: IdSource): Diagnose {
  return (host, serverId) =>
    commands.ask(
      computeVerbs,
      "compute.diagnose",
      { serverId },
      { host, subject: serverId, id: ids.uuid(), timeoutMs: PATIENCE_MS },
    );
}
