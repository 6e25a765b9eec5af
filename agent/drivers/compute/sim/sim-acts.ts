import type { ComputeVerb } from "../../../protocol/compute.ts";
import type { SimGuest, SimHost } from "./sim-host.ts";
import type { SimWorld } from "./sim-world.ts";

/** What the abilities share: the machine, and the way every call passes through the faults. */
export interface SimActs {
  readonly world: SimWorld;
  readonly host: SimHost;
  /** Aborted when the driver is closed: what the agent's own process did ends with it. */
  readonly closing: AbortSignal;
  /** One call of a verb: hit by faults, and never acting once the driver is closed. */
  act<T>(verb: ComputeVerb, signal: AbortSignal, work: () => T | Promise<T>): Promise<T>;
  /** Throws `compute.guest_not_found`. */
  guest(serverId: string): SimGuest;
  /** Throws when the guest is not this host's to change: `compute.guest_moved`, `compute.guest_migrating`. */
  requireSettled(guest: SimGuest): void;
}
