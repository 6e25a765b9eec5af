import { resolve } from "node:path";
import { isUnreachable } from "../../../process/qmp.ts";
import type { GuestFacts } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { ComputeDriver } from "../driver.ts";
import { changeGuest } from "./change-guest.ts";
import { coldMigration } from "./cold-migration.ts";
import { consoleLog, openConsole } from "./console.ts";
import { diagnose } from "./diagnostics.ts";
import { measureRootDisk } from "./disks.ts";
import { hostFacts } from "./facts.ts";
import { fencing } from "./fencing.ts";
import type { Guest } from "./guest.ts";
import { Host } from "./host.ts";
import { abandonIncoming, checkDestination, finishIncoming, prepareIncoming } from "./migration-destination.ts";
import { abortMigration, forceCompleteMigration, migrateOut } from "./migration-source.ts";
import { guestNetworking } from "./networking.ts";
import type { QemuDriverOptions } from "./options.ts";
import { ensureGuest, ensureGuestAbsent, reboot, setPaused } from "./power.ts";
import { qemuVersion } from "./qemu-version.ts";
import { stopGuest } from "./stop.ts";
import { guestVolumes } from "./volumes.ts";
import { watchGuests } from "./watch.ts";

/**
 * Servers as QEMU processes of this machine. Processes go on without the agent; a new driver over the same `stateDir` adopts
 * them. Only one driver at a time may use a `stateDir`. Throws `compute.driver_unavailable` without QEMU.
 */
export async function createQemuDriver(given: QemuDriverOptions): Promise<ComputeDriver> {
  const sharedDir = given.sharedDir === null ? null : resolve(given.sharedDir);
  const options = { ...given, stateDir: resolve(given.stateDir), sharedDir };
  await qemuVersion();
  const host = await Host.prepare(options);
  await watchGuests(host);
  return new QemuDriver(host);
}

class QemuDriver implements ComputeDriver {
  readonly kind = "qemu";
  readonly networking;
  readonly volumes;
  readonly coldMigration;
  readonly fencing;
  readonly liveMigration;
  readonly events;
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.networking = guestNetworking(host);
    this.volumes = guestVolumes(host);
    this.coldMigration = coldMigration(host);
    this.fencing = fencing(host);
    this.liveMigration = liveMigration(host);
    this.events = { subscribe: host.subscribe.bind(host) };
  }

  probe() {
    return hostFacts(this.#host);
  }

  async *list(): AsyncIterable<GuestFacts> {
    const guests = await Array.fromAsync(this.#host.guests());
    // All at once: each that does not answer takes its time.
    yield* await Promise.all(guests.map(factsOrRecord));
  }

  async inspect(serverId: string): Promise<GuestFacts | undefined> {
    const guest = await this.#host.guest(serverId);
    return (await guest.load()) ? guest.facts() : undefined;
  }

  ensure(...[spec, power, call]: Parameters<ComputeDriver["ensure"]>) {
    return ensureGuest(this.#host, spec, power, call);
  }

  ensureAbsent(...[serverId, options]: Parameters<ComputeDriver["ensureAbsent"]>) {
    return ensureGuestAbsent(this.#host, serverId, options);
  }

  ensureStopped(serverId: string, { graceMs }: { graceMs: number }, call: Call) {
    return changeGuest(this.#host, serverId, (guest) => stopGuest(this.#host, guest, graceMs, call));
  }

  ensurePaused(serverId: string) {
    return changeGuest(this.#host, serverId, (guest) => setPaused(guest, true));
  }

  ensureUnpaused(serverId: string) {
    return changeGuest(this.#host, serverId, (guest) => setPaused(guest, false));
  }

  reboot(...[serverId, options, call]: Parameters<ComputeDriver["reboot"]>) {
    return changeGuest(this.#host, serverId, (guest) => reboot(this.#host, guest, options, call));
  }

  async consoleLog(serverId: string, lines: number | null) {
    return consoleLog(await this.#host.knownGuest(serverId), lines);
  }

  async diagnose(serverId: string) {
    return diagnose(this.#host, await this.#host.knownGuest(serverId));
  }

  async openConsole(serverId: string) {
    return openConsole(await this.#host.knownGuest(serverId));
  }

  close() {
    return this.#host.close();
  }
}

/** A process that does not answer holds its disk all the same, and must not hide the others. */
async function factsOrRecord(guest: Guest): Promise<GuestFacts> {
  return guest.facts().catch((error: unknown) => {
    if (isUnreachable(error)) return guest.recordedFacts();
    throw error;
  });
}

function liveMigration(host: Host): NonNullable<ComputeDriver["liveMigration"]> {
  return {
    measureDisk: async (serverId) => measureRootDisk(host.files, (await host.knownGuest(serverId)).spec),
    checkDestination: (spec, options) => checkDestination(host, spec, options),
    prepareIncoming: (spec, mode, call) => prepareIncoming(host, spec, mode, call),
    migrateOut: async (serverId, options, call) => migrateOut(await host.knownGuest(serverId), options, call),
    abortMigration: async (serverId) => abortMigration(host, await host.knownGuest(serverId)),
    forceCompleteMigration: async (serverId) => forceCompleteMigration(await host.knownGuest(serverId)),
    finishIncoming: (spec, { paused }, call) => finishIncoming(host, spec, paused, call),
    abandonIncoming: (serverId) => abandonIncoming(host, serverId),
  };
}
