import { join } from "node:path";
import type { ServerSettings } from "../../server/settings.ts";
import { isStateInUse, lockState } from "../../state-lock.ts";
import type { Command } from "../command.ts";
import { localMachine } from "../machine.ts";
import { serverFlags, serverSettings } from "../server-flags.ts";
import { ensureStateFolder } from "../state-folder.ts";
import { ensurePackages } from "../system-packages.ts";
import { stateInUse } from "../up/state-in-use.ts";

const HOSTS = ["host-1", "host-2", "host-3"] as const;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** A whole cloud on this machine. */
export const upCommand: Command = {
  flags: {
    ...serverFlags,
    simulate: {
      type: "string",
      value: "N",
      help: "N simulated hosts instead: no packages, no root.",
    },
    "no-install": { type: "boolean", help: "Do not install missing Debian packages; simulate what needs them." },
    "stop-workloads": { type: "boolean", help: "Also stop the guests when this command ends." },
    reset: { type: "boolean", help: "Stop all guests, delete the state folder, and end." },
  },
  notes:
    "Ctrl-C ends the cloud and leaves its guests running; the next start over the same state folder finds them again.\nThe server logs to server.log in the state folder, each host to hosts/NAME/agent.log.",
  async run(args) {
    const given = serverSettings(args, process.env);
    const settings: ServerSettings = { ...given, logFile: join(given.stateDir, "server.log") };
    const simulated = args.count("simulate", 1);
    if (await isStateInUse(settings.stateDir)) throw stateInUse(settings.stateDir, args.has("reset"));
    // What only real hosts need is loaded when there are to be some: a simulated cloud starts faster.
    if (args.has("reset")) return await (await import("../up/reset.ts")).resetCloud(settings, HOSTS, say);
    ensureStateFolder(settings.stateDir);
    // With PostgreSQL the store locks nothing: servers may share it, but not a folder with hosts.
    if (settings.database !== null) await lockState(settings.stateDir);
    if (simulated !== null) return await simulate(settings, simulated);
    const packages = await ensurePackages({
      capability: "compute",
      mayInstall: !args.has("no-install"),
      say,
      machine: localMachine(process.env),
    });
    if (packages.outcome === "missing") {
      say(`Not installed: ${packages.packages.join(", ")} (${packages.reason}).`);
      say(`For real virtual machines run: ${packages.command}`);
      say("Until then the hosts are simulated.");
      return await simulate(settings, HOSTS.length);
    }
    keepToOurselves();
    const { runRealCloud } = await import("../up/real-cloud.ts");
    return await runRealCloud(settings, { hosts: HOSTS, stopWorkloads: args.has("stop-workloads"), say });
  },
};

async function simulate(settings: ServerSettings, hosts: number): Promise<number> {
  keepToOurselves();
  const { runSimulatedCloud } = await import("../up/simulated-cloud.ts");
  return await runSimulatedCloud(settings, hosts, say);
}

/** The state holds secrets, images and the like. Not before packages have been installed: theirs are for everybody. */
function keepToOurselves(): void {
  process.umask(0o077);
}
