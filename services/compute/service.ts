import { type Duplex, duplexPair } from "node:stream";
import type { Commands } from "../../kernel/fleet/commands.ts";
import type { SocketRoute } from "../../kernel/http/websockets.ts";
import type { ServiceManifest } from "../../kernel/service/manifest.ts";
import { agentConsoles } from "./consoles/agent-consoles.ts";
import { consoleSockets } from "./consoles/console-sockets.ts";
import { ConsoleSessions } from "./consoles/sessions.ts";
import type { ComputeDependencies } from "./dependencies.ts";
import { agentDiagnostics } from "./diagnostics.ts";
import { computeFaces } from "./http/compute-faces.ts";
import { computeOperations, listOperations } from "./operations/compute-operations.ts";
import { computePolicies } from "./policies.ts";
import { HostComparison, SLICES } from "./reconcile/host-comparison.ts";
import { computeMigrations } from "./store/tables.ts";

export interface ComputeService {
  readonly manifest: ServiceManifest;
  /** The WebSockets of serial consoles: the client's and the agent's. */
  readonly sockets: readonly SocketRoute[];
  /** The agent's end of a console for agents in this process: what the socket does, minus the wire. */
  joinConsole(host: string, sessionId: string): Duplex;
}

/** The compute service. Its listener (`computeListener`) is made apart: the fleet, whose commands this needs, needs it first. */
export function createComputeService(deps: ComputeDependencies, commands: Commands): ComputeService {
  const operations = computeOperations(deps);
  const { store, clock, ids } = deps.kernel;
  const consoles = agentConsoles(commands, ids);
  const sessions = new ConsoleSessions(clock, ids);
  const comparison = new HostComparison(deps, commands, operations.cleanup);
  const interval = deps.settings.syncPowerStateIntervalMs;
  return {
    manifest: {
      name: "compute",
      policies: computePolicies,
      migrations: computeMigrations,
      faces: computeFaces({ ...deps, operations, consoles, diagnose: agentDiagnostics(commands, ids) }),
      operations: listOperations(operations),
      reconcilers:
        interval > 0
          ? [{ name: "compute.hosts", everyMs: interval / SLICES, run: (signal) => comparison.next(signal) }]
          : [],
    },
    sockets: consoleSockets({ store, clock, broker: consoles, sessions }),
    joinConsole(host, sessionId) {
      const [agentEnd, clientEnd] = duplexPair();
      sessions.join(host, sessionId, clientEnd);
      return agentEnd;
    },
  };
}
