import { dirname, join } from "node:path";
import { canUseNamespaces } from "../../../agent/drivers/compute/network/fabric.ts";
import { ensureGuestImage, type GuestImage } from "../../../agent/guest-image/ensure-guest-image.ts";
import { seconds, sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { isUp, listServices } from "../../../kernel/fleet/services.ts";
import { credentialPaths } from "../../server/credential-files.ts";
import { type ServerProgram, startServer } from "../../server/program.ts";
import type { ServerSettings } from "../../server/settings.ts";
import { simulateHosts } from "../../server/simulation.ts";
import type { CommandDefinition, ParsedArguments } from "../command.ts";
import { LocalHosts, stopWorkloads, wipeState } from "../local-hosts.ts";
import { localMachine } from "../machine.ts";
import { serverFlags, serverSettings } from "../server-flags.ts";
import { ensurePackages } from "../system-packages.ts";
import { untilStopped } from "../until-stopped.ts";

const HOSTS = ["host-1", "host-2", "host-3"] as const;
const HOSTS_UP_LIMIT_MS = seconds(90);

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** A whole cloud on this machine. */
export const upCommand: CommandDefinition = {
  name: "up",
  summary: "Start a cloud on this machine: server and three hosts (what 'npm start' does).",
  flags: {
    ...serverFlags,
    simulate: {
      type: "string",
      value: "N",
      help: "N simulated hosts instead: no packages, no root, starts in a second.",
    },
    "no-install": { type: "boolean", help: "Do not install missing Debian packages; simulate what needs them." },
    "stop-workloads": { type: "boolean", help: "Also stop the guests when this command ends." },
    reset: { type: "boolean", help: "Stop all guests, delete the state folder, and end." },
  },
  notes:
    "Ctrl-C ends the cloud and leaves its guests running; the next start over the same state folder finds them again.",
  async run(args) {
    const settings = serverSettings(args, process.env);
    if (args.has("reset")) return await reset(settings);
    const simulated = args.count("simulate", 1);
    if (simulated !== null) return await simulatedCloud(settings, simulated);
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
      return await simulatedCloud(settings, HOSTS.length);
    }
    return await realCloud(settings, args);
  },
};

async function simulatedCloud(settings: ServerSettings, hosts: number): Promise<number> {
  const server = await startServer(settings);
  const simulation = await simulateHosts(server, hosts, settings.fleet.reportIntervalMs);
  await server.seedSimulatedImage();
  greet(server, settings, `${hosts} simulated ${hosts === 1 ? "host" : "hosts"}`);
  await untilStopped();
  await simulation.close();
  await server.stop();
  return 0;
}

async function realCloud(settings: ServerSettings, args: ParsedArguments): Promise<number> {
  const guest = await guestImage(settings.stateDir);
  const namespaces = await canUseNamespaces();
  if (!namespaces)
    say("Without root (or network namespaces) guests get user-mode networking: they do not reach each other.");
  const server = await startServer(settings);
  await server.seedGuestImage(guest);
  const hosts = new LocalHosts({
    stateDir: settings.stateDir,
    names: HOSTS,
    serverUrl: server.address,
    caFile: settings.tls?.cert ?? null,
    namespaces,
    probeGuest: dirname(guest.kernel),
    logLevel: settings.logLevel,
    createToken: (host) => server.membership.createToken(host),
    say,
  });
  await hosts.start();
  await untilUp(server, settings);
  greet(server, settings, `${HOSTS.length} hosts on this machine`);
  await untilStopped();
  say("Stopping …");
  await hosts.stop();
  if (args.has("stop-workloads")) await stopWorkloads(settings.stateDir, HOSTS, namespaces);
  else say("Guests go on. 'npm start' finds them again; 'npm start -- --reset' stops and deletes everything.");
  await server.stop();
  return 0;
}

async function guestImage(stateDir: string): Promise<GuestImage> {
  let shown = "";
  return await ensureGuestImage(join(stateDir, "guest-image"), {
    onProgress: (percent, doing) => {
      if (doing !== shown) say(`Guest image: ${doing} (${Math.round(percent)} %)`);
      shown = doing;
    },
  });
}

/** Waits until every local host has been heard, and says so when one has not. */
async function untilUp(server: ServerProgram, settings: ServerSettings): Promise<void> {
  const limit = systemClock.now() + HOSTS_UP_LIMIT_MS;
  for (;;) {
    const services = await listServices(server.store.read, { binary: "nova-compute" });
    const up = services.filter((row) => isUp(row, systemClock.now(), settings.fleet)).map((row) => row.host);
    const waiting = HOSTS.filter((host) => !up.includes(host));
    if (waiting.length === 0) return;
    if (systemClock.now() > limit) {
      say(`Not heard yet: ${waiting.join(", ")}. See the agent.log of each in ${join(settings.stateDir, "hosts")}.`);
      return;
    }
    await sleep(systemClock, 100);
  }
}

function greet(server: ServerProgram, settings: ServerSettings, hosts: string): void {
  const files = credentialPaths(settings.stateDir);
  say("");
  say(`Pileus is up at ${server.publicUrl} with ${hosts}.`);
  if (server.cloud.credentialsWritten) {
    say("");
    say("Try next, in another terminal (python3-openstackclient):");
    say(`  export OS_CLIENT_CONFIG_FILE=${files.clouds} OS_CLOUD=pileus`);
    say("  openstack compute service list");
    say("  openstack server create --image pileus-guest --flavor m1.tiny --network private --wait demo");
    say("  openstack console log show demo");
    say("  openstack --os-compute-api-version 2.30 server migrate --live-migration --wait demo");
    say(`Or: source ${files.openrc}`);
  }
  say("");
  say("Ctrl-C stops it.");
}

async function reset(settings: ServerSettings): Promise<number> {
  await stopWorkloads(settings.stateDir, HOSTS, await canUseNamespaces());
  await wipeState(settings.stateDir);
  say(`Deleted ${settings.stateDir}. 'npm start' makes a new cloud.`);
  return 0;
}
