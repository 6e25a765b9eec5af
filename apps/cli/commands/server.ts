import type { ServerProgram } from "../../server/program.ts";
import type { Simulation } from "../../server/simulation.ts";
import type { Command } from "../command.ts";
import { serverFlags, serverSettings } from "../server-flags.ts";
import { ensureStateFolder } from "../state-folder.ts";
import { untilStopped } from "../until-stopped.ts";

/** One server process: the APIs and the operations behind them. Hosts join with `pileus agent`. */
export const serverCommand: Command = {
  flags: {
    ...serverFlags,
    simulate: { type: "string", value: "N", help: "Run N simulated hosts in this process." },
  },
  notes:
    "Hosts join with 'pileus agent'. The admin password of a new cloud is taken from PILEUS_ADMIN_PASSWORD, or generated\nand written to clouds.yaml in the state folder. PILEUS_DATABASE may hold the database URL instead of --database.",
  async run(args) {
    const settings = serverSettings(args, process.env);
    const hosts = args.count("simulate", 1);
    // The state holds secrets, images and the like; none of its files is anybody else's.
    process.umask(0o077);
    ensureStateFolder(settings.stateDir);
    // After the arguments have been checked: the services take a while to load.
    const { startServer } = await import("../../server/program.ts");
    const stopped = untilStopped();
    const server = await startServer(settings);
    const simulation = hosts === null ? null : await simulate(server, hosts);
    process.stdout.write(`Pileus listens on ${server.address}\n`);
    await stopped;
    await simulation?.close();
    await server.stop();
    return 0;
  },
};

async function simulate(server: ServerProgram, hosts: number): Promise<Simulation> {
  const { simulateHosts } = await import("../../server/simulation.ts");
  return await simulateHosts(server, hosts, server.heartbeatMs);
}
