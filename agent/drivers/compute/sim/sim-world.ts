import type { Clock } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { DiskStorage, GuestPower, GuestSpec, RootDisk } from "../../../protocol/compute.ts";
import { SimFaults } from "../../../sim/sim-faults.ts";
import { type SimMode, SimWorks } from "../../../sim/sim-works.ts";
import { SimTicker } from "./sim-console.ts";
import { TICK_BYTES } from "./sim-diagnostics.ts";
import { type SimDisk, type SimGuest, SimHost, type SimHostOptions } from "./sim-host.ts";
import { SimVolumeUse } from "./sim-volume-use.ts";

const GIB = 1024 ** 3;

export interface SimWorldOptions {
  clock: Clock;
  mode?: SimMode;
  /** What a live migration without bandwidth limit takes in `auto` mode. */
  migrationMs?: number;
  /** What copying a disk takes in `auto` mode. */
  copyMs?: number;
}

/** Everything that exists in the world; each list is empty on a clean slate. */
export interface Leftovers {
  guests: { host: string; serverId: string; power: GuestPower }[];
  /** `store` is a host's name or the id of a shared store. */
  disks: { store: string; serverId: string }[];
  ports: { host: string; portId: string }[];
  /** What guests have, running or not. */
  volumes: { host: string; serverId: string; volumeId: string }[];
  /** Migration targets and served disks. */
  listeners: { host: string; serverId: string }[];
}

/** The hardware of all simulated compute hosts of a process: machines, disks, wires. It knows no agent. */
export class SimWorld {
  readonly clock: Clock;
  readonly faults: SimFaults;
  readonly works: SimWorks;
  readonly migrationMs: number;
  readonly copyMs: number;
  /** What must never happen but did: a guest that runs twice, two that write to one volume, a disk removed under its guest. */
  readonly violations: string[] = [];
  readonly volumes = new SimVolumeUse(this.violations);
  readonly #hosts = new Map<string, SimHost>();
  readonly #sharedDisks = new Map<string, Map<string, SimDisk>>();
  /** Which host runs a server now. */
  readonly #runsOn = new Map<string, SimHost>();
  readonly #dirtying = new Set<string>();
  #addresses = 0;

  constructor(options: SimWorldOptions) {
    this.clock = options.clock;
    this.faults = new SimFaults(options.clock);
    this.works = new SimWorks(options.clock, options.mode ?? "auto");
    this.migrationMs = options.migrationMs ?? 20;
    this.copyMs = options.copyMs ?? 20;
  }

  /** The machine of that name, new when there is none. */
  addHost(options: SimHostOptions): SimHost {
    const host = this.#hosts.get(options.name) ?? new SimHost(options, this.clock.now(), this.#hosts.size);
    this.#hosts.set(host.name, host);
    return host;
  }

  host(name: string): SimHost | undefined {
    return this.#hosts.get(name);
  }

  /** Manual mode: moves migrations and copies forward by a quarter. */
  step(): void {
    this.works.step();
  }

  /** Manual mode: ends every migration and copy that can end. */
  drain(): void {
    this.works.drain();
  }

  /** While true, the server's guest dirties memory so fast that a migration ends only by force, auto-converge or abort. */
  setDirtiesMemory(serverId: string, dirties: boolean): void {
    if (dirties) this.#dirtying.add(serverId);
    else this.#dirtying.delete(serverId);
  }

  dirtiesMemory(serverId: string): boolean {
    return this.#dirtying.has(serverId);
  }

  /** The guest's process dies by itself. */
  crashGuest(hostName: string, serverId: string): void {
    this.#endByItself(hostName, serverId, "crashed");
  }

  /** Somebody inside the guest says `poweroff`. */
  shutDownFromInside(hostName: string, serverId: string): void {
    this.#endByItself(hostName, serverId, "stopped");
  }

  /** Every guest of the host dies, untold: nobody is there to tell. */
  losePower(hostName: string): void {
    const host = this.#hosts.get(hostName);
    for (const guest of host?.guests.values() ?? []) {
      if (guest.active || guest.power === "incoming") this.setPower(host as SimHost, guest, "crashed");
    }
  }

  leftovers(): Leftovers {
    const left: Leftovers = { guests: [], disks: [], ports: [], volumes: [], listeners: [] };
    for (const host of this.#hosts.values()) {
      for (const guest of host.guests.values()) {
        const { serverId } = guest;
        left.guests.push({ host: host.name, serverId, power: guest.power });
        for (const { volumeId } of guest.volumes) left.volumes.push({ host: host.name, serverId, volumeId });
        for (const { portId } of guest.nics) left.ports.push({ host: host.name, portId });
        if (guest.power === "incoming") left.listeners.push({ host: host.name, serverId });
      }
      for (const serverId of host.disks.keys()) left.disks.push({ store: host.name, serverId });
      for (const serverId of host.served) left.listeners.push({ host: host.name, serverId });
    }
    for (const [store, disks] of this.#sharedDisks) {
      for (const serverId of disks.keys()) left.disks.push({ store, serverId });
    }
    return left;
  }

  /** The only writer of a guest's power: keeps ticks, console and who runs what in step with it. */
  setPower(host: SimHost, guest: SimGuest, power: GuestPower): void {
    if (guest.power === power) return;
    const now = this.clock.now();
    const ticker = this.tickerOf(host, guest);
    const before = guest.power;
    if (before === "running") {
      ticker?.stop(now);
      guest.console.catchUp(ticker?.at(now) ?? 0);
    }
    guest.power = power;
    if (power === "running") {
      guest.console.startFrom(ticker?.at(now) ?? 0);
      ticker?.start(now);
    }
    if (guest.active) this.volumes.hold(host, guest);
    else this.volumes.letGo(guest);
    if (guest.active) this.#claim(host, guest);
    else if (this.#runsOn.get(guest.serverId) === host) this.#runsOn.delete(guest.serverId);
    if (!guest.active) guest.migration?.break();
    if (before === "incoming" && !guest.active) guest.incoming?.migration?.break();
  }

  /** Powers a machine on: it gets the size of its spec and boots. */
  boot(host: SimHost, guest: SimGuest, power: "running" | "paused"): void {
    guest.vcpus = guest.spec.vcpus;
    guest.ramMiB = guest.spec.ramMiB;
    guest.volumeSizes.clear();
    guest.console.print(`Booting ${guest.spec.instanceName}`);
    this.setPower(host, guest, power);
  }

  /** The end of a live migration: memory, console and (mirrored) disk content arrive, the source lets go. */
  handOver(source: SimHost, from: SimGuest, destination: SimHost, to: SimGuest): void {
    const power = from.power === "paused" ? "paused" : "running";
    const ticks = this.tickerOf(source, from)?.at(this.clock.now()) ?? 0;
    this.setPower(source, from, "moved");
    const { rootDisk } = to.spec;
    if (rootDisk && to.incoming?.mode === "mirror") this.#putDisk(destination, to.serverId, rootDisk, ticks);
    to.console = from.console;
    to.seenByGuest = from.seenByGuest;
    to.networkResets = from.networkResets;
    to.rebootKeys.push(...from.rebootKeys);
    to.incoming = undefined;
    this.setPower(destination, to, power);
  }

  /** The host and guest that wait for a migration at this address. */
  listenerAt(memoryUri: string): { host: SimHost; guest: SimGuest } | undefined {
    const [hostName = "", serverId = ""] = memoryUri.replace(/^sim:\/\//, "").split("/");
    const host = this.#hosts.get(hostName);
    const guest = host?.guests.get(serverId);
    const waits = guest?.power === "incoming" && guest.incoming?.memoryUri === memoryUri;
    return host && guest && waits ? { host, guest } : undefined;
  }

  nextAddress(host: SimHost, serverId: string): string {
    this.#addresses += 1;
    return `sim://${host.name}/${serverId}/${this.#addresses}`;
  }

  /** The disks that this host sees in a kind of storage. Throws `compute.no_shared_storage`. */
  disks(host: SimHost, storage: DiskStorage): Map<string, SimDisk> {
    if (storage === "local") return host.disks;
    if (host.sharedStorage === null) {
      throw new CloudError("conflict", "compute.no_shared_storage", `Host ${host.name} has no shared storage.`);
    }
    let disks = this.#sharedDisks.get(host.sharedStorage);
    if (!disks) {
      disks = new Map();
      this.#sharedDisks.set(host.sharedStorage, disks);
    }
    return disks;
  }

  diskOf(host: SimHost, guest: SimGuest): SimDisk | undefined {
    const { rootDisk } = guest.spec;
    return rootDisk === null ? undefined : this.disks(host, rootDisk.storage).get(guest.serverId);
  }

  /** What counts the guest's ticks lies on the disk that it boots from. */
  tickerOf(host: SimHost, guest: SimGuest): SimTicker | undefined {
    const root = guest.volumes.find((volume) => volume.root);
    if (!root) return this.diskOf(host, guest)?.ticker;
    return this.volumes.ticker(root.volumeId);
  }

  /** What the host's local disks take; a guest writes with each tick, and never more than its disk holds. */
  writtenBytes(host: SimHost): number {
    let sum = 0;
    for (const disk of host.disks.values()) sum += this.writtenBytesOf(disk);
    return sum;
  }

  writtenBytesOf({ sizeGiB, ticker }: SimDisk): number {
    return Math.min(sizeGiB * GIB, ticker.at(this.clock.now()) * TICK_BYTES);
  }

  /** Makes the spec's disk exist and be large enough. Content that is there stays. */
  ensureDisk(host: SimHost, { serverId, rootDisk }: GuestSpec): void {
    if (rootDisk === null) return;
    const found = this.disks(host, rootDisk.storage).get(serverId);
    if (found) found.sizeGiB = Math.max(found.sizeGiB, rootDisk.sizeGiB);
    else this.#putDisk(host, serverId, rootDisk, 0);
  }

  /** The content of `from` as a new disk of `host`, in place of what was there. */
  copyDisk(from: SimDisk, host: SimHost, { serverId, rootDisk }: GuestSpec): void {
    if (rootDisk) this.#putDisk(host, serverId, rootDisk, from.ticker.at(this.clock.now()));
  }

  /** The guest was made to be on this host: what happens to a shared disk is the host's to decide now. */
  claimDisk(host: SimHost, guest: SimGuest): void {
    const disk = this.diskOf(host, guest);
    if (disk) disk.owner = host.name;
  }

  /** Removes the server's disks from this host, and from the shared store when that is permitted. */
  removeDisks(host: SimHost, serverId: string, shared: "owned" | "always" | "never"): void {
    host.disks.delete(serverId);
    if (host.sharedStorage === null || shared === "never") return;
    const owner = this.disks(host, "shared").get(serverId)?.owner ?? host.name;
    if (shared === "owned" && owner !== host.name) return;
    if (!this.disks(host, "shared").delete(serverId)) return;
    const user = this.#runsOn.get(serverId);
    if (user) this.violations.push(`${host.name} removed the shared disk of ${serverId}, which runs on ${user.name}`);
  }

  #putDisk(host: SimHost, serverId: string, { sizeGiB, storage, image }: RootDisk, ticks: number): void {
    const disk = { serverId, sizeGiB, imageId: image.imageId, ticker: new SimTicker(ticks) };
    this.disks(host, storage).set(serverId, disk);
  }

  #claim(host: SimHost, guest: SimGuest): void {
    const other = this.#runsOn.get(guest.serverId);
    if (other && other !== host) {
      this.violations.push(`${guest.serverId} runs on ${other.name} and on ${host.name}`);
    }
    this.#runsOn.set(guest.serverId, host);
  }

  #endByItself(hostName: string, serverId: string, power: "crashed" | "stopped"): void {
    const host = this.#hosts.get(hostName);
    const guest = host?.guests.get(serverId);
    if (!host || !guest?.active) return;
    this.setPower(host, guest, power);
    const kind = power === "crashed" ? "died" : "stopped";
    for (const listener of host.listeners) listener({ kind, guest: guest.facts() });
  }
}
