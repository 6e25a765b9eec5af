import { readdir } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { errorFields } from "../../../../kernel/log/logger.ts";
import type { GuestEvent } from "../driver.ts";
import { HostNetwork } from "../network/host-network.ts";
import { BootSlots } from "./boot-slots.ts";
import { Guest } from "./guest.ts";
import { checkedId, HostFiles, isId } from "./guest-files.ts";
import { chooseAccelerator } from "./kvm-probe.ts";
import type { Accelerator, QemuDriverOptions } from "./options.ts";

/** What all parts of the driver share: settings, folders, networks and the guests of this host. */
export class Host {
  readonly options: QemuDriverOptions;
  readonly files: HostFiles;
  readonly accelerator: Accelerator;
  readonly bootSlots: BootSlots;
  /** Null with user-mode networking. */
  readonly network: HostNetwork | null;
  /** Aborted when the driver lets go of its guests. */
  readonly closing: AbortSignal;
  readonly #close = new AbortController();
  onGuestChange: (guest: Guest) => void = () => {};
  readonly #guests = new Map<string, Guest>();
  readonly #listeners = new Set<(event: GuestEvent) => void>();

  private constructor(options: QemuDriverOptions, files: HostFiles, accelerator: Accelerator) {
    this.options = options;
    this.closing = this.#close.signal;
    this.files = files;
    this.accelerator = accelerator;
    this.bootSlots = new BootSlots(options.bootSlotsDir ?? files.inState("boot-slots"), options.clock);
    const { network } = options;
    this.network = network.kind === "namespace" ? new HostNetwork(network.netns, network.fabricAddress) : null;
  }

  static async prepare(options: QemuDriverOptions): Promise<Host> {
    const files = await HostFiles.prepare(options.stateDir, options.sharedDir);
    const probe = () => chooseAccelerator(options.probeGuest, files.inState("accelerator.json"), options);
    return new Host(options, files, options.accelerator === "auto" ? await probe() : options.accelerator);
  }

  get netns(): string | null {
    const { network } = this.options;
    return network.kind === "namespace" ? network.netns : null;
  }

  /** The guest's handle, whether this host knows the guest or not. */
  async guest(serverId: string): Promise<Guest> {
    let guest = this.#guests.get(checkedId(serverId));
    if (!guest) {
      const { clock, log } = this.options;
      const onChange = (changed: Guest) => this.onGuestChange(changed);
      guest = new Guest(serverId, this.files.guest(serverId), { clock, log, onChange });
      this.#guests.set(serverId, guest);
    }
    await guest.load();
    return guest;
  }

  /** Throws `compute.guest_not_found`. */
  async knownGuest(serverId: string): Promise<Guest> {
    const guest = await this.guest(serverId);
    if (await guest.load()) return guest;
    throw new CloudError("notFound", "compute.guest_not_found", "The host has no such guest.");
  }

  /** Every guest that this host has a record of. */
  async *guests(): AsyncIterable<Guest> {
    for (const name of await readdir(this.files.guestsDir)) {
      if (!isId(name)) continue;
      const guest = await this.guest(name).catch((error: unknown) => {
        this.options.log.error({ server: name, ...errorFields(error) }, "a guest's record cannot be read");
        return undefined;
      });
      if (guest && (await guest.load())) yield guest;
    }
  }

  subscribe(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async announce(kind: GuestEvent["kind"], guest: Guest): Promise<void> {
    const event = { kind, guest: await guest.facts() };
    this.options.log.info({ server: guest.id, kind }, "guest changed by itself");
    for (const listener of this.#listeners) listener(event);
  }

  /** Work that nobody waits for; a failure is worth a line in the log. */
  inBackground(what: string, work: Promise<unknown>): void {
    work.catch((error) => {
      if (!this.closing.aborted) this.options.log.warn(errorFields(error), `${what} failed`);
    });
  }

  async close(): Promise<void> {
    this.onGuestChange = () => {};
    this.#close.abort();
    for (const guest of this.#guests.values()) await guest.release();
  }
}
