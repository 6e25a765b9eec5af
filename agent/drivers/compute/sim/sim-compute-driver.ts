import type { Duplex } from "node:stream";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { ComputeFacts, ComputeVerb, GuestFacts, GuestSpec } from "../../../protocol/compute.ts";
import type { GuestDiagnostics } from "../../../protocol/diagnostics.ts";
import type { Call } from "../../../runtime/call.ts";
import type {
  ColdMigration,
  ComputeDriver,
  Fencing,
  GuestEvents,
  GuestNetworking,
  GuestVolumes,
  LiveMigration,
  RemoveOptions,
  SeenByGuest,
} from "../driver.ts";
import type { SimActs } from "./sim-acts.ts";
import { simColdMigration } from "./sim-cold-migration.ts";
import { simDiagnostics } from "./sim-diagnostics.ts";
import { requireNotFenced, SimGuest, type SimHost } from "./sim-host.ts";
import { simLiveMigration } from "./sim-live-migration.ts";
import { SimSerialLine } from "./sim-serial-line.ts";
import { simVolumes } from "./sim-volumes.ts";
import type { SimWorld } from "./sim-world.ts";

export interface SimComputeDriverOptions {
  world: SimWorld;
  /** Name of a host that the world has. */
  host: string;
}

/** How many reboot keys a guest remembers. */
const REBOOT_MEMORY = 8;

/** A compute driver over one host of a simulated world. It holds no state: a new instance finds everything as it was. */
export function createSimComputeDriver(options: SimComputeDriverOptions): ComputeDriver {
  const host = options.world.host(options.host);
  if (!host) throw new CloudError("notFound", "sim.no_such_host", `The world has no host ${options.host}.`);
  return new SimComputeDriver(options.world, host);
}

class SimComputeDriver implements ComputeDriver, SimActs {
  readonly kind = "sim";
  readonly world: SimWorld;
  readonly host: SimHost;
  readonly networking: GuestNetworking;
  readonly volumes: GuestVolumes;
  readonly coldMigration: ColdMigration;
  readonly liveMigration: LiveMigration;
  readonly fencing: Fencing;
  readonly events: GuestEvents;
  readonly closing: AbortSignal;
  readonly #closing = new AbortController();
  readonly #lines = new Set<Duplex>();

  constructor(world: SimWorld, host: SimHost) {
    this.world = world;
    this.host = host;
    this.closing = this.#closing.signal;
    this.coldMigration = simColdMigration(this);
    this.liveMigration = simLiveMigration(this);
    this.volumes = simVolumes(this);
    this.networking = {
      injectNetworkInfo: (spec, call) => this.#deliver("compute.injectNetworkInfo", spec, call),
      resetNetwork: (spec, call) => this.#deliver("compute.resetNetwork", spec, call),
      ensureNics: (spec, call) =>
        this.act("compute.ensureNics", call.signal, () => {
          const guest = this.guest(spec.serverId);
          guest.nics = spec.nics;
          return guest.facts();
        }),
    };
    this.fencing = {
      fence: (hostName, serverId, call) =>
        this.act("compute.fence", call.signal, () => this.#fence(hostName, serverId, call.epoch)),
    };
    this.events = {
      subscribe: (listener) => {
        host.listeners.add(listener);
        return () => host.listeners.delete(listener);
      },
    };
  }

  probe(): Promise<ComputeFacts> {
    return this.act("compute.probe", this.closing, () => ({
      driver: this.kind,
      hypervisorType: "fake",
      hypervisorVersion: 1_000_000,
      vcpus: this.host.vcpus,
      ramMiB: this.host.ramMiB,
      diskGiB: this.host.diskGiB,
      cpuInfo: { arch: "x86_64", model: this.host.cpuModel, vendor: "sim", topology: {}, features: [] },
      migrationAddress: this.host.address,
      sharedStorage: this.host.sharedStorage,
      uptimeS: Math.floor((this.world.clock.now() - this.host.bootedAt) / 1000),
      abilities: ["networking", "volumes", "coldMigration", "liveMigration", "fencing", "events"],
    }));
  }

  async *list(): AsyncIterable<GuestFacts> {
    for (const guest of [...this.host.guests.values()]) yield guest.facts();
  }

  inspect(serverId: string): Promise<GuestFacts | undefined> {
    return this.act("compute.inspect", this.closing, () => this.host.guests.get(serverId)?.facts());
  }

  ensure(spec: GuestSpec, power: "running" | "stopped" | "paused", call: Call): Promise<GuestFacts> {
    return this.act("compute.ensure", call.signal, () => {
      const found = this.host.guests.get(spec.serverId);
      if (found) this.requireSettled(found);
      if (power !== "stopped" && !found?.active) requireNotFenced(this.host, spec.serverId, call.epoch);
      if (found && power === "paused") this.world.volumes.requireLetsGo(found, spec.volumes);
      this.world.ensureDisk(this.host, spec);
      const guest = found ?? new SimGuest(spec);
      this.host.guests.set(spec.serverId, guest);
      guest.spec = spec;
      guest.nics = spec.nics;
      this.world.volumes.plug(this.host, guest, spec.volumes);
      guest.incoming = undefined;
      this.world.claimDisk(this.host, guest);
      this.#bring(guest, power);
      return guest.facts();
    });
  }

  ensureAbsent(serverId: string, options: RemoveOptions, call: Call): Promise<void> {
    return this.act("compute.ensureAbsent", call.signal, () => {
      const guest = this.host.guests.get(serverId);
      const elsewhere = guest?.power === "moved" || guest?.incoming !== undefined;
      if (guest) this.#turnOff(guest);
      this.host.guests.delete(serverId);
      this.host.served.delete(serverId);
      this.host.fenced.delete(serverId);
      const shared = options.evenIfOwnedElsewhere ? "always" : elsewhere ? "never" : "owned";
      if (options.disks) this.world.removeDisks(this.host, serverId, shared);
    });
  }

  ensureStopped(serverId: string, _options: { graceMs: number }, call: Call): Promise<GuestFacts> {
    return this.act("compute.ensureStopped", call.signal, () => {
      const guest = this.guest(serverId);
      if (guest.power === "moved") return guest.facts();
      this.requireSettled(guest);
      this.#turnOff(guest);
      return guest.facts();
    });
  }

  ensurePaused(serverId: string, call: Call): Promise<GuestFacts> {
    return this.act("compute.ensurePaused", call.signal, () => this.#setActive(serverId, "paused"));
  }

  ensureUnpaused(serverId: string, call: Call): Promise<GuestFacts> {
    return this.act("compute.ensureUnpaused", call.signal, () => this.#setActive(serverId, "running"));
  }

  reboot(serverId: string, options: { type: "soft" | "hard"; graceMs: number }, call: Call): Promise<GuestFacts> {
    return this.act("compute.reboot", call.signal, () => {
      const guest = this.guest(serverId);
      if (guest.rebootKeys.includes(call.key)) return guest.facts();
      this.requireSettled(guest);
      if (options.type === "soft") requireActive(guest);
      requireNotFenced(this.host, serverId, call.epoch);
      guest.rebootKeys.push(call.key);
      if (guest.rebootKeys.length > REBOOT_MEMORY) guest.rebootKeys.shift();
      this.#turnOff(guest);
      this.world.boot(this.host, guest, "running");
      return guest.facts();
    });
  }

  consoleLog(serverId: string, lines: number | null): Promise<string> {
    return this.act("compute.consoleLog", this.closing, () => {
      const guest = this.guest(serverId);
      if (guest.power === "running") guest.console.catchUp(this.#ticks(guest));
      return guest.console.text(lines);
    });
  }

  diagnose(serverId: string): Promise<GuestDiagnostics> {
    return this.act("compute.diagnose", this.closing, () => {
      const guest = this.guest(serverId);
      requireActive(guest);
      return simDiagnostics(guest, this.#ticks(guest));
    });
  }

  openConsole(serverId: string): Promise<NodeJS.ReadWriteStream> {
    return this.act("compute.openConsole", this.closing, () => {
      const guest = this.guest(serverId);
      requireActive(guest);
      const line = new SimSerialLine(this.world.clock, () => (guest.active ? this.#ticks(guest) : undefined));
      this.#lines.add(line);
      line.once("close", () => this.#lines.delete(line));
      return line;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new CloudError("unavailable", "agent.stopping", "The agent is stopping."));
    for (const line of this.#lines) line.destroy();
  }

  async act<T>(verb: ComputeVerb, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    signal.throwIfAborted();
    return await this.world.faults.around(this.host.name, verb, signal, () => {
      this.closing.throwIfAborted();
      return work();
    });
  }

  guest(serverId: string): SimGuest {
    const guest = this.host.guests.get(serverId);
    if (guest) return guest;
    throw new CloudError("notFound", "compute.guest_not_found", `Server ${serverId} is not on this host.`);
  }

  requireSettled({ serverId, power }: SimGuest): void {
    if (power === "moved") {
      throw new CloudError("conflict", "compute.guest_moved", `Server ${serverId} has moved away.`);
    }
    if (power !== "incoming") return;
    throw new CloudError("conflict", "compute.guest_migrating", `Server ${serverId} is in a migration.`);
  }

  #bring(guest: SimGuest, power: "running" | "stopped" | "paused"): void {
    if (power === "stopped") this.#turnOff(guest);
    else if (guest.active) this.world.setPower(this.host, guest, power);
    else this.world.boot(this.host, guest, power);
  }

  #turnOff(guest: SimGuest): void {
    this.world.setPower(this.host, guest, "stopped");
  }

  #setActive(serverId: string, power: "running" | "paused"): GuestFacts {
    const guest = this.guest(serverId);
    requireActive(guest);
    this.world.setPower(this.host, guest, power);
    return guest.facts();
  }

  #ticks(guest: SimGuest): number {
    return this.world.tickerOf(this.host, guest)?.at(this.world.clock.now()) ?? 0;
  }

  #deliver(
    verb: "compute.injectNetworkInfo" | "compute.resetNetwork",
    spec: GuestSpec,
    call: Call,
  ): Promise<SeenByGuest> {
    return this.act(verb, call.signal, () => {
      const guest = this.guest(spec.serverId);
      if (guest.power !== "running") {
        throw new CloudError("conflict", "compute.guest_not_running", `Server ${spec.serverId} is not running.`);
      }
      guest.nics = spec.nics;
      guest.seenByGuest = Object.fromEntries(spec.nics.map((nic) => [nic.mac, nic.fixedIps.map((ip) => ip.address)]));
      if (verb === "compute.resetNetwork") guest.networkResets += 1;
      return guest.seenByGuest;
    });
  }

  #fence(hostName: string, serverId: string, epoch: number): void {
    const target = this.world.host(hostName);
    if (!target || target === this.host) {
      throw new CloudError("invalid", "compute.fencing_unsupported", `Host ${hostName} cannot be fenced from here.`);
    }
    target.fenced.set(serverId, Math.max(epoch, target.fenced.get(serverId) ?? epoch));
    const guest = target.guests.get(serverId);
    if (guest?.active || guest?.power === "incoming") this.world.setPower(target, guest, "crashed");
  }
}

/** Throws `compute.guest_not_running`. */
function requireActive(guest: SimGuest): void {
  if (guest.active) return;
  throw new CloudError("conflict", "compute.guest_not_running", `Server ${guest.serverId} is not running.`);
}
