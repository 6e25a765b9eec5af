import { createSimComputeDriver } from "../../agent/drivers/compute/sim/sim-compute-driver.ts";
import { SimWorld } from "../../agent/drivers/compute/sim/sim-world.ts";
import { computeService } from "../../agent/runtime/compute-service.ts";
import { ownService } from "../../agent/runtime/own-service.ts";
import { SimulatedFleet } from "../../agent/sim/simulated-fleet.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import type { LogLevel } from "../../kernel/log/logger.ts";
import type { ServerProgram } from "./program.ts";

export interface Simulation {
  readonly world: SimWorld;
  readonly fleet: SimulatedFleet;
  close(): Promise<void>;
}

/** Hosts `host-1` … `host-N` inside the server's process: they keep state, need no packages and no root. */
export async function simulateHosts(server: ServerProgram, count: number, heartbeatMs: number): Promise<Simulation> {
  const world = new SimWorld({ clock: systemClock, mode: "auto" });
  const log = server.loggers.get("simulation");
  const fleet = new SimulatedFleet({
    server: { inProcess: server.inProcess },
    services: (host, session) => [
      ownService(server.loggers),
      computeService(createSimComputeDriver({ world, host }), session.openConsole),
    ],
    clock: systemClock,
    ids: systemIds,
    random: Math.random,
    log,
    heartbeatMs,
    setLogLevels: (_host, levels) => {
      for (const [prefix, level] of Object.entries(levels)) server.loggers.setLevel(prefix, level as LogLevel);
    },
  });
  const names = Array.from({ length: count }, (_, i) => `host-${i + 1}`);
  for (const name of names) world.addHost({ name, sharedStorage: "simulated-store" });
  await fleet.add(
    await Promise.all(names.map(async (name) => ({ name, token: await server.membership.createToken(name) }))),
  );
  return {
    world,
    fleet,
    async close() {
      await fleet.close();
      // A migration that never ends by itself would keep the process alive.
      world.works.close();
    },
  };
}
