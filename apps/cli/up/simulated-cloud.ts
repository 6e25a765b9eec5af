import { startServer } from "../../server/program.ts";
import type { ServerSettings } from "../../server/settings.ts";
import { simulateHosts } from "../../server/simulation.ts";
import { untilStopped } from "../until-stopped.ts";
import { greeting } from "./greeting.ts";

/** A cloud of simulated hosts in this process, until somebody stops it. */
export async function runSimulatedCloud(
  settings: ServerSettings,
  hosts: number,
  say: (line: string) => void,
): Promise<number> {
  const stopped = untilStopped();
  const server = await startServer(settings);
  const simulation = await simulateHosts(server, hosts, settings.fleet.reportIntervalMs);
  await server.seedSimulatedImage();
  for (const line of greeting(server, settings, `${hosts} simulated ${hosts === 1 ? "host" : "hosts"}`)) say(line);
  await stopped;
  say("Stopping …");
  await simulation.close();
  await server.stop();
  return 0;
}
