import type { Clock } from "../../../../kernel/clock/clock.ts";
import type { Logger } from "../../../../kernel/log/logger.ts";

export type Accelerator = "tcg" | "kvm";

/**
 * How guests reach a network. `namespace`: taps and tunnels inside the namespace that plays this host. `user`: QEMU's own
 * user-mode network, without root; guests reach out but not one another, and migration works on one machine only.
 */
export type NetworkSettings = { kind: "namespace"; netns: string; fabricAddress: string } | { kind: "user" };

export interface FenceTarget {
  /** The other host's `stateDir`. */
  stateDir: string;
  /** Its namespace; null when it has none. */
  netns: string | null;
}

export interface QemuDriverOptions {
  /** Name of this host. */
  host: string;
  /** Belongs to this host alone. Short paths are better: sockets live in it. */
  stateDir: string;
  /** Instance store that several hosts mount, null without one. */
  sharedDir: string | null;
  /** `auto` boots `probeGuest` under KVM once and remembers the answer; without it, TCG. */
  accelerator: Accelerator | "auto";
  /** A kernel and RAM disk whose console says `KERNEL-OK`: those of the guest image. */
  probeGuest: { kernel: string; ramdisk: string } | null;
  network: NetworkSettings;
  /** What to report instead of what the machine has. */
  capacity: { vcpus?: number; ramMiB?: number; diskGiB?: number };
  /** Hosts of this machine whose guests this one can kill; undefined for any other host. */
  fenceTargets: (host: string) => FenceTarget | undefined;
  /** Folder that all hosts of this machine share to limit how many guests boot at once under TCG; null counts this host alone. */
  bootSlotsDir: string | null;
  clock: Clock;
  log: Logger;
}
