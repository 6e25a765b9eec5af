import { dirname, join } from "node:path";
import { whyNoNamespaces } from "../../../agent/drivers/compute/network/fabric.ts";
import { ensureGuestImage, type GuestImage } from "../../../agent/guest-image/ensure-guest-image.ts";
import { seconds, sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { isUp, listServices } from "../../../kernel/fleet/services.ts";
import { type ServerProgram, startServer } from "../../server/program.ts";
import type { ServerSettings } from "../../server/settings.ts";
import { LocalHosts, stopWorkloads } from "../local-hosts.ts";
import { untilStopped } from "../until-stopped.ts";
import { greeting } from "./greeting.ts";
import { preparedGuestImage } from "./prepared-guest-image.ts";

const HOSTS_UP_LIMIT_MS = seconds(90);
const EXIT_INTERRUPTED = 130;

interface RealCloudOptions {
  readonly hosts: readonly string[];
  /** Also stop the guests at the end. */
  readonly stopWorkloads: boolean;
  say(line: string): void;
}

/** A server and the agents of several hosts on this machine, until somebody stops them. */
export async function runRealCloud(settings: ServerSettings, options: RealCloudOptions): Promise<number> {
  const { hosts: names, say } = options;
  const stopped = untilStopped();
  const guest = await preparedGuestImage({
    stateDir: settings.stateDir,
    stopped,
    build: (signal) => guestImage(settings.stateDir, say, signal),
  });
  if (guest === null) {
    say("Stopped before the guest image was there; the next start makes it anew.");
    return EXIT_INTERRUPTED;
  }
  const noNamespaces = await whyNoNamespaces();
  const namespaces = noNamespaces === null;
  if (!namespaces)
    say(`No network namespaces (${noNamespaces}): guests get user-mode networking and do not reach each other.`);
  const server = await startServer(settings);
  await server.seedGuestImage(guest);
  const hosts = new LocalHosts({
    stateDir: settings.stateDir,
    names,
    serverUrl: server.address,
    caFile: settings.tls?.cert ?? null,
    namespaces,
    probeGuest: dirname(guest.kernel),
    logLevel: settings.logLevel,
    createToken: (host) => server.membership.createToken(host),
    say,
  });
  await hosts.start();
  await Promise.race([untilUp(server, settings, options), stopped]);
  for (const line of greeting(server, settings, `${names.length} hosts on this machine`)) say(line);
  await stopped;
  say("Stopping …");
  await hosts.stop();
  if (options.stopWorkloads) {
    say("Stopping the guests …");
    await stopWorkloads(settings.stateDir, names, namespaces);
    say("All guests are off. 'npm start' starts the cloud again.");
  } else say("Guests go on. 'npm start' finds them again; 'npm start -- --reset' stops and deletes everything.");
  await server.stop();
  return 0;
}

async function guestImage(stateDir: string, say: (line: string) => void, signal: AbortSignal): Promise<GuestImage> {
  let shown = "";
  return await ensureGuestImage(join(stateDir, "guest-image"), {
    signal,
    onProgress: (percent, doing) => {
      if (doing !== shown) say(`Guest image: ${doing} (${Math.round(percent)} %)`);
      shown = doing;
    },
  });
}

/** Waits until every local host has been heard, and says so when one has not. */
async function untilUp(
  server: ServerProgram,
  settings: ServerSettings,
  { hosts, say }: RealCloudOptions,
): Promise<void> {
  const limit = systemClock.now() + HOSTS_UP_LIMIT_MS;
  for (;;) {
    const services = await listServices(server.store.read, { binary: "nova-compute" });
    const up = services.filter((row) => isUp(row, systemClock.now(), settings.fleet)).map((row) => row.host);
    const waiting = hosts.filter((host) => !up.includes(host));
    if (waiting.length === 0) return;
    if (systemClock.now() > limit) {
      say(`Not heard yet: ${waiting.join(", ")}. See the agent.log of each in ${join(settings.stateDir, "hosts")}.`);
      return;
    }
    await sleep(systemClock, 100);
  }
}
