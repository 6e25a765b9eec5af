import { runCommand, tryCommand } from "../../../process/run-command.ts";

/** Name of a network namespace, or null for the one of this process. */
export type Netns = string | null;

export async function ip(netns: Netns, ...args: string[]): Promise<string> {
  return runCommand("ip", inside(netns, args));
}

export async function linkExists(netns: Netns, link: string): Promise<boolean> {
  return (await tryCommand("ip", inside(netns, ["link", "show", "dev", link]))).code === 0;
}

export async function netnsExists(netns: string): Promise<boolean> {
  return (await tryCommand("ip", ["-n", netns, "link", "show", "dev", "lo"])).code === 0;
}

/** Gives the link the address (CIDR) unless it has it. */
export async function ensureAddress(netns: Netns, link: string, cidr: string): Promise<void> {
  await ip(netns, "address", "replace", cidr, "dev", link);
}

export async function ensureNetns(netns: string): Promise<void> {
  if (!(await netnsExists(netns))) await ip(null, "netns", "add", netns);
  await ip(netns, "link", "set", "lo", "up");
}

export async function ensureNetnsAbsent(netns: string): Promise<void> {
  if (await netnsExists(netns)) await ip(null, "netns", "delete", netns);
}

/** Program and arguments that start `file` inside a namespace. Only the network changes, never the mounts. */
export function insideNetns(netns: Netns, file: string, args: readonly string[]): [string, string[]] {
  if (netns === null) return [file, [...args]];
  return ["nsenter", [`--net=/run/netns/${netns}`, "--", file, ...args]];
}

function inside(netns: Netns, args: readonly string[]): string[] {
  return netns === null ? [...args] : ["-n", netns, ...args];
}
