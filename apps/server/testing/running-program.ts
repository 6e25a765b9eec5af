import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServerProgram, startServer } from "../program.ts";
import type { ServerSettings } from "../settings.ts";
import { type Simulation, simulateHosts } from "../simulation.ts";
import { testSettings } from "./test-settings.ts";

/** The whole program in this process, on a port of its own, with state that goes with it. */
export interface RunningProgram {
  readonly server: ServerProgram;
  /** Null without hosts. */
  readonly simulation: Simulation | null;
  close(): Promise<void>;
}

export async function runProgram(
  options: { hosts?: number; settings?: Partial<ServerSettings> } = {},
): Promise<RunningProgram> {
  const stateDir = await mkdtemp(join(tmpdir(), "pileus-program-"));
  const server = await startServer(testSettings(stateDir, options.settings));
  const hosts = options.hosts ?? 0;
  const simulation = hosts === 0 ? null : await simulateHosts(server, hosts, server.heartbeatMs);
  return {
    server,
    simulation,
    async close() {
      await simulation?.close();
      await server.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}
