import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import type { AgentService, VerbHandler } from "../../../agent/runtime/agent-service.ts";
import { ownService } from "../../../agent/runtime/own-service.ts";
import { SimulatedFleet } from "../../../agent/sim/simulated-fleet.ts";
import type { ServerProgram } from "../../../apps/server/program.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers, type LogLevel, silentLogger } from "../../../kernel/log/logger.ts";

export const CLUSTER = "store@shared";
const TARGET = "second";

/** Hosts that provide nothing but backends without volumes: `store-1@shared`, `store-2@shared` (a cluster), `store-3@replicated`. */
export async function startBackendAgents(server: ServerProgram): Promise<SimulatedFleet> {
  const loggers = new Map<string, Loggers>();
  const loggersOf = (host: string) => {
    const known = loggers.get(host) ?? new Loggers({ destination: { write: () => undefined } });
    known.get("storage.driver");
    loggers.set(host, known);
    return known;
  };
  const fleet = new SimulatedFleet({
    server: { inProcess: server.inProcess },
    services: (host) => [ownService(loggersOf(host)), ...backendServices(host)],
    clock: systemClock,
    ids: systemIds,
    random: () => 0.5,
    log: silentLogger,
    setLogLevels: (host, levels) => {
      for (const [prefix, level] of Object.entries(levels)) loggersOf(host).setLevel(prefix, level as LogLevel);
    },
  });
  const names = ["store-1", "store-2", "store-3"];
  await fleet.add(
    await Promise.all(names.map(async (name) => ({ name, token: await server.membership.createToken(name) }))),
  );
  return fleet;
}

function backendServices(host: string): AgentService[] {
  const shared = host !== "store-3";
  const backend = shared ? "shared" : "replicated";
  let active: string | null = null;
  const facts = (): BackendFacts => ({
    driver: "none",
    vendor: "Pileus",
    driverVersion: "1.0",
    protocol: "nbd",
    backend,
    backendState: "up",
    totalGiB: 100,
    freeGiB: 100,
    provisionedGiB: 0,
    reservedPercent: 0,
    thinProvisioning: false,
    replicationEnabled: true,
    replicationTargets: [TARGET],
    activeBackendId: active,
    frozen: false,
    volumes: 0,
    abilities: [],
  });
  const handler = (
    verb: "backend.failover" | "backend.freeze" | "backend.thaw",
    run: VerbHandler["run"],
  ): [string, VerbHandler] => [verb, { definition: blockStorageVerbs[verb], mode: "change", run }];
  const nothing = { factsChange: false, inventory: async () => [], subscribe: () => () => {}, close: async () => {} };
  const cluster = shared ? CLUSTER : null;
  const service = { binary: "cinder-volume", service: "block-storage", backend, cluster };
  return [
    { ...nothing, service: "block-storage", verbs: new Map(), provided: async () => [{ ...service, facts: facts() }] },
    {
      ...nothing,
      service: "backend",
      provided: async () => [],
      verbs: new Map([
        handler("backend.freeze", async () => ({})),
        handler("backend.thaw", async () => ({})),
        handler("backend.failover", async (input) => {
          const { targetId } = input as { targetId: string | null };
          active = targetId === "default" ? null : TARGET;
          return { activeBackendId: active, volumes: [] };
        }),
      ]),
    },
  ];
}
