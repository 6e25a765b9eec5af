import { FABRIC_CARD } from "./fabric.ts";
import { ip, linkExists } from "./ip-command.ts";

/** What a tap needs to know of a guest's network card. */
export interface TapSpec {
  portId: string;
  /** VXLAN network identifier. */
  segment: number;
  mtu: number;
}

/**
 * Guest networks inside one host's namespace: per segment a bridge and a VXLAN tunnel to the other hosts, per guest card a
 * tap. Tunnels find each other by a multicast group per segment, so that hosts need not know of one another.
 */
export class HostNetwork {
  readonly #netns: string;
  readonly #address: string;
  /** Bridges are shared by cards: one change at a time. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(netns: string, address: string) {
    this.#netns = netns;
    this.#address = address;
  }

  /** Makes the card's tap exist, connected and up. */
  ensureTap(spec: TapSpec): Promise<void> {
    return this.#exclusive(async () => {
      await this.#ensureSegment(spec.segment, spec.mtu);
      const tap = tapName(spec.portId);
      if (!(await linkExists(this.#netns, tap))) await ip(this.#netns, "tuntap", "add", tap, "mode", "tap");
      await this.#connect(tap, spec.segment, spec.mtu);
    });
  }

  /** Removes the card's tap, and its segment from this host when no other card uses it. */
  ensureTapAbsent(portId: string): Promise<void> {
    return this.#exclusive(async () => {
      const tap = tapName(portId);
      if (!(await linkExists(this.#netns, tap))) return;
      const [link] = JSON.parse(await ip(this.#netns, "-j", "link", "show", "dev", tap)) as { master?: string }[];
      await ip(this.#netns, "link", "delete", tap);
      if (link?.master?.startsWith("br-")) await this.#removeUnusedSegment(Number(link.master.slice(3)));
    });
  }

  async #removeUnusedSegment(segment: number): Promise<void> {
    const bridge = bridgeName(segment);
    const tunnel = tunnelName(segment);
    const members = JSON.parse(await ip(this.#netns, "-j", "link", "show", "master", bridge)) as { ifname?: string }[];
    if (members.some(({ ifname }) => ifname !== undefined && ifname !== tunnel)) return;
    for (const link of [tunnel, bridge]) {
      if (await linkExists(this.#netns, link)) await ip(this.#netns, "link", "delete", link);
    }
  }

  async #ensureSegment(segment: number, mtu: number): Promise<void> {
    const bridge = bridgeName(segment);
    const tunnel = tunnelName(segment);
    if (!(await linkExists(this.#netns, bridge))) {
      const options = ["forward_delay", "0", "mcast_snooping", "0"];
      await ip(this.#netns, "link", "add", bridge, "type", "bridge", ...options);
    }
    await ip(this.#netns, "link", "set", bridge, "addrgenmode", "none", "mtu", String(mtu), "up");
    if (!(await linkExists(this.#netns, tunnel))) {
      const ends = ["group", groupOf(segment), "dev", FABRIC_CARD, "local", this.#address, "dstport", "4789"];
      await ip(this.#netns, "link", "add", tunnel, "type", "vxlan", "id", String(segment), ...ends);
    }
    await this.#connect(tunnel, segment, mtu);
  }

  /** The host itself takes no part in guests' networks, hence no address of its own on them. */
  async #connect(link: string, segment: number, mtu: number): Promise<void> {
    const settings = ["addrgenmode", "none", "mtu", String(mtu), "master", bridgeName(segment), "up"];
    await ip(this.#netns, "link", "set", link, ...settings);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

/** As OpenStack names them: `tap` and the first eleven characters of the port's id. */
export const tapName = (portId: string): string => `tap${portId.slice(0, 11)}`;
const bridgeName = (segment: number): string => `br-${segment}`;
const tunnelName = (segment: number): string => `vx-${segment}`;

/** A group of the private multicast range for each of the 2^24 segments. */
function groupOf(segment: number): string {
  return `239.${(segment >> 16) & 255}.${(segment >> 8) & 255}.${segment & 255}`;
}
