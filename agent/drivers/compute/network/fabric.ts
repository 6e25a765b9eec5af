import { createHash } from "node:crypto";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { tryCommand } from "../../../process/run-command.ts";
import {
  ensureAddress,
  ensureNetns,
  ensureNetnsAbsent,
  insideNetns,
  ip,
  linkExists,
  type Netns,
  netnsExists,
} from "./ip-command.ts";

/**
 * The wire between the local hosts: a bridge in a namespace of its own, a port per host. Clouds with different prefixes do
 * not see each other, even with equal addresses.
 */
export interface Fabric {
  /** Start of every namespace's name: lower-case letters, digits and dashes, at most 32. */
  prefix: string;
  /** Length of the network part of the hosts' addresses: 24 for 10.77.0.0/24. */
  prefixLength: number;
}

const BRIDGE = "fabric0";
/** The card that a host has on the fabric. */
export const FABRIC_CARD = "eth0";
/** Room for a guest network of 1500 bytes and more inside VXLAN. */
const FABRIC_MTU = "9000";

export const fabricNetns = (fabric: Fabric): string => `${checkedPrefix(fabric)}-fabric`;

export function hostNetns(fabric: Fabric, host: string): string {
  if (!/^[a-zA-Z0-9._-]{1,64}$/.test(host)) throw new CloudError("invalid", "compute.invalid_host", "Not a host name.");
  return `${checkedPrefix(fabric)}-host-${host}`;
}

export async function ensureFabric(fabric: Fabric): Promise<void> {
  const netns = fabricNetns(fabric);
  await ensureNetns(netns);
  // Snooping would need a querier on this wire; without one the hosts' VXLAN groups could go silent.
  if (!(await linkExists(netns, BRIDGE)))
    await ip(netns, "link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0");
  await ip(netns, "link", "set", BRIDGE, "mtu", FABRIC_MTU, "up");
}

/** A namespace that plays a host with `address` on the fabric. Repeating it repairs what is missing; returns the namespace's name. */
export async function ensureHostNamespace(fabric: Fabric, host: string, address: string): Promise<string> {
  const netns = hostNetns(fabric, host);
  await ensureFabric(fabric);
  await ensureNetns(netns);
  await ensurePort(fabric, netns, host, FABRIC_CARD);
  await ensureAddress(netns, FABRIC_CARD, `${address}/${fabric.prefixLength}`);
  return netns;
}

/**
 * Connects the namespace that this process lives in to the fabric, so that a server on `address` is reached by the hosts'
 * agents over it. The card's name is derived from the prefix.
 */
export async function ensureControllerCard(fabric: Fabric, address: string): Promise<void> {
  const card = controllerCard(fabric);
  await ensureFabric(fabric);
  await ensurePort(fabric, null, "", card);
  await ensureAddress(null, card, `${address}/${fabric.prefixLength}`);
}

/** Pulls or plugs the host's cable. Everything on the host goes on; nothing reaches it. */
export async function setHostLink(fabric: Fabric, host: string, state: "up" | "down"): Promise<void> {
  await ip(fabricNetns(fabric), "link", "set", portOf(host), state);
}

/** The host's guests must have been stopped; a namespace with processes in it lives on without a name. */
export async function removeHostNamespace(fabric: Fabric, host: string): Promise<void> {
  const wire = fabricNetns(fabric);
  if ((await netnsExists(wire)) && (await linkExists(wire, portOf(host))))
    await ip(wire, "link", "delete", portOf(host));
  await ensureNetnsAbsent(hostNetns(fabric, host));
}

/** Removes the wire and this process's card on it. */
export async function removeFabric(fabric: Fabric): Promise<void> {
  const card = controllerCard(fabric);
  if (await linkExists(null, card)) await ip(null, "link", "delete", card);
  await ensureNetnsAbsent(fabricNetns(fabric));
}

/** Why this process cannot play several hosts with namespaces, or null when it can. */
export async function whyNoNamespaces(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "not running as root";
  const probe = `pileus-probe-${process.pid}`;
  try {
    const made = await tryCommand("ip", ["netns", "add", probe]);
    if (made.code !== 0) return `namespaces cannot be made: ${made.stderr.trim()}`;
    const tap = await tryCommand(...insideNetns(probe, "ip", ["tuntap", "add", "probe0", "mode", "tap"]));
    if (tap.code !== 0) return `tap devices cannot be made: ${tap.stderr.trim()}`;
    const vxlan = ["link", "add", "probe1", "type", "vxlan", "id", "1", "dstport", "4789"];
    const tunnel = await tryCommand("ip", ["-n", probe, ...vxlan]);
    return tunnel.code === 0 ? null : `VXLAN devices cannot be made: ${tunnel.stderr.trim()}`;
  } catch {
    return "iproute2 or nsenter is not installed";
  } finally {
    await tryCommand("ip", ["netns", "delete", probe]).catch(() => undefined);
  }
}

/** True when this process may make namespaces, taps and tunnels. */
export async function canUseNamespaces(): Promise<boolean> {
  return (await whyNoNamespaces()) === null;
}

async function ensurePort(fabric: Fabric, netns: Netns, host: string, card: string): Promise<void> {
  const wire = fabricNetns(fabric);
  const port = portOf(host);
  if (!(await linkExists(netns, card))) {
    const peer = ["peer", "name", port, "netns", wire];
    await ip(netns, "link", "add", card, "type", "veth", ...peer);
    await ip(wire, "link", "set", port, "mtu", FABRIC_MTU, "master", BRIDGE, "up");
  }
  await ip(netns, "link", "set", card, "mtu", FABRIC_MTU, "up");
}

/** Interface names are at most 15 characters, host names are not. */
const portOf = (host: string): string => (host === "" ? "controller" : `p-${digest(host)}`);
const controllerCard = (fabric: Fabric): string => `plf-${digest(checkedPrefix(fabric))}`;
const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

function checkedPrefix(fabric: Fabric): string {
  if (/^[a-z0-9][a-z0-9-]{0,31}$/.test(fabric.prefix)) return fabric.prefix;
  throw new CloudError("invalid", "compute.invalid_prefix", "Not a prefix for namespace names.");
}
