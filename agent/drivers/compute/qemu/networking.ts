import { sleep } from "../../../../kernel/clock/clock.ts";
import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import type { GuestFacts, GuestSpec, Nic } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { GuestNetworking, SeenByGuest } from "../driver.ts";
import { bringCards, plug, unplug } from "./cards.ts";
import { CONFIG_CONTROLLER, CONFIG_NODE, cardDevice, configBlockNode, configDevices } from "./command-line.ts";
import { writeConfigDrive } from "./config-drive.ts";
import type { Guest } from "./guest.ts";
import { unresponsive } from "./guest-agent.ts";
import type { Host } from "./host.ts";

/** Covers the boot of a guest that was started a moment ago. */
const AGENT_LIMIT_MS = 30_000;
const REFRESH_LIMIT_MS = 20_000;
const ADDRESS_LIMIT_MS = 30_000;
/** In our own guest; others may ship one under this name. */
const REFRESH = "/sbin/net-refresh";

export function guestNetworking(host: Host): GuestNetworking {
  return {
    injectNetworkInfo: (spec, call) => injectNetworkInfo(host, spec, call),
    resetNetwork: (spec, call) => resetNetwork(host, spec, call),
    ensureNics: (spec, call) => ensureNics(host, spec, call),
  };
}

async function ensureNics(host: Host, spec: GuestSpec, call: Call): Promise<GuestFacts> {
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    await takeNetwork(guest, spec);
    if (await guest.isUp()) {
      await replaceConfigDrive(host, guest, call);
      await bringCards(host, guest, call.signal);
    }
    return guest.facts();
  });
}

/**
 * Gives the guest a config drive with the present network information and tells it to read it. A guest without an agent
 * finds it there at its next boot: then nothing is seen (null).
 */
async function injectNetworkInfo(host: Host, spec: GuestSpec, call: Call): Promise<SeenByGuest> {
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    await takeNetwork(guest, spec);
    await guest.qmp();
    const answers = await agentAnswers(guest, call);
    await bringCards(host, guest, call.signal);
    await replaceConfigDrive(host, guest, call);
    if (!answers) return null;
    const code = await guest.agent.run(REFRESH, ["inject"], REFRESH_LIMIT_MS, call.signal);
    if (code !== 0) throw unresponsive(`${REFRESH} ended with ${code}`);
    return whenSeen(host, guest, call);
  });
}

/** Pulls every card, renews the host's side, plugs the cards in again and waits until the guest has its addresses back. */
async function resetNetwork(host: Host, spec: GuestSpec, call: Call): Promise<SeenByGuest> {
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    await takeNetwork(guest, spec);
    await guest.qmp();
    const answers = await agentAnswers(guest, call);
    for (const nic of spec.nics) {
      await unplug(host, guest, cardDevice(nic.portId), call.signal);
      await plug(host, guest, nic);
    }
    await bringCards(host, guest, call.signal);
    return answers ? whenSeen(host, guest, call) : null;
  });
}

/** A guest that has opened its channel must answer; one that has none by the end of its boot has no agent. */
async function agentAnswers(guest: Guest, call: Call): Promise<boolean> {
  if (await guest.agent.waitUntilAnswers(AGENT_LIMIT_MS, call.signal)) return true;
  const qmp = await guest.qmp();
  const ends = await qmp.execute<{ label: string; "frontend-open": boolean }[]>("query-chardev");
  if (ends.some((end) => end.label === "agent" && end["frontend-open"])) throw unresponsive("the agent is silent");
  return false;
}

async function takeNetwork(guest: Guest, spec: GuestSpec): Promise<void> {
  await guest.adopt({ ...guest.spec, nics: spec.nics, hostname: spec.hostname, metadata: spec.metadata });
}

/** The same steps finish a replacement that was cut short: each looks at what is there. */
async function replaceConfigDrive(host: Host, guest: Guest, call: Call): Promise<void> {
  const qmp = await guest.qmp();
  await writeConfigDrive(guest.spec, guest.files.configDrive, call.signal);
  await unplug(host, guest, CONFIG_CONTROLLER, call.signal);
  await ensureNodeAbsent(qmp, CONFIG_NODE, call);
  await qmp.execute("blockdev-add", { ...configBlockNode(guest.files.configDrive) });
  for (const device of configDevices()) await qmp.execute("device_add", device);
}

/** QEMU lets go of a device's drive a moment after the device is gone. */
async function ensureNodeAbsent(qmp: Qmp, node: string, call: Call): Promise<void> {
  for (;;) {
    const nodes = await qmp.execute<{ "node-name": string }[]>("query-named-block-nodes");
    if (!nodes.some((each) => each["node-name"] === node)) return;
    await qmp.execute("blockdev-del", { "node-name": node }).catch((error: unknown) => {
      if (!isRefusal(error)) throw error;
    });
    call.signal.throwIfAborted();
    await qmp.changed(50);
  }
}

/** Addresses as the guest reports them, as soon as they are those of its spec. Throws `compute.guest_unresponsive`. */
async function whenSeen(host: Host, guest: Guest, call: Call): Promise<SeenByGuest> {
  const { clock } = host.options;
  const until = clock.now() + ADDRESS_LIMIT_MS;
  for (;;) {
    const seen = await guest.agent.addresses();
    if (guest.spec.nics.every((nic) => hasAddresses(nic, seen[nic.mac] ?? []))) return seen;
    if (clock.now() >= until) throw unresponsive(`addresses in the guest: ${JSON.stringify(seen)}`);
    await sleep(clock, 200, call.signal);
  }
}

function hasAddresses(nic: Nic, seen: string[]): boolean {
  return nic.fixedIps.every((ip) => seen.includes(ip.address));
}
