import { createSimBlockStorageDriver } from "../../agent/drivers/block-storage/sim/sim-block-storage-driver.ts";
import type { SimPoolOptions } from "../../agent/drivers/block-storage/sim/sim-pool.ts";
import { SimStorageWorld } from "../../agent/drivers/block-storage/sim/sim-storage-world.ts";
import { createSimComputeDriver } from "../../agent/drivers/compute/sim/sim-compute-driver.ts";
import { SimWorld } from "../../agent/drivers/compute/sim/sim-world.ts";
import { blockStorageService } from "../../agent/runtime/block-storage-service.ts";
import { computeService } from "../../agent/runtime/compute-service.ts";
import { ownService } from "../../agent/runtime/own-service.ts";
import { SimulatedFleet } from "../../agent/sim/simulated-fleet.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import type { Loggers, LogLevel } from "../../kernel/log/logger.ts";
import type { ServerProgram } from "./program.ts";

export interface Simulation {
  readonly world: SimWorld;
  /** The arrays of the hosts that have volume backends. */
  readonly storage: SimStorageWorld;
  readonly fleet: SimulatedFleet;
  close(): Promise<void>;
}

/** GiB; as much as a project may have by default. */
const CAPACITY = 1000;
const SHARED: SimPoolOptions = { backend: "shared", cluster: "pileus@shared", capacityGiB: CAPACITY };

/** Volume backends as local hosts have them: two hosts are one active/active cluster, a third one replicates to a second target. */
const BACKENDS: Readonly<Record<string, SimPoolOptions>> = {
  "host-1": SHARED,
  "host-2": SHARED,
  "host-3": { backend: "replicated", capacityGiB: CAPACITY, replicationTargets: ["second"] },
};

/** Hosts `host-1` … `host-N` inside the server's process: they keep state, need no packages and no root. */
export async function simulateHosts(server: ServerProgram, count: number, heartbeatMs: number): Promise<Simulation> {
  const world = new SimWorld({ clock: systemClock, mode: "auto" });
  const storage = new SimStorageWorld({ clock: systemClock, mode: "auto" });
  const loggers = new Map<string, Loggers>();
  const loggersOf = (host: string): Loggers => {
    const own = loggers.get(host) ?? server.loggers.ofPart({ host });
    loggers.set(host, own);
    return own;
  };
  const fleet = new SimulatedFleet({
    server: { inProcess: server.inProcess },
    services: (host, session) => [
      ownService(loggersOf(host)),
      computeService(createSimComputeDriver({ world, host }), session.openConsole),
      ...volumeServices(storage, host),
    ],
    clock: systemClock,
    ids: systemIds,
    random: Math.random,
    log: server.loggers.get("simulation"),
    logOf: (host) => loggersOf(host).get("agent"),
    heartbeatMs,
    setLogLevels: (host, levels) => {
      for (const [prefix, level] of Object.entries(levels)) loggersOf(host).setLevel(prefix, level as LogLevel);
    },
  });
  const names = Array.from({ length: count }, (_, i) => `host-${i + 1}`);
  for (const name of names) world.addHost({ name, sharedStorage: "simulated-store" });
  await fleet.add(
    await Promise.all(names.map(async (name) => ({ name, token: await server.membership.createToken(name) }))),
  );
  return {
    world,
    storage,
    fleet,
    async close() {
      await fleet.close();
      // A migration that never ends by itself would keep the process alive.
      world.works.close();
      storage.works.close();
    },
  };
}

function volumeServices(world: SimStorageWorld, host: string) {
  const backend = BACKENDS[host];
  if (!backend) return [];
  const driver = createSimBlockStorageDriver({ world, host, pool: world.addBackend(host, backend) });
  return [blockStorageService([{ driver }])];
}
