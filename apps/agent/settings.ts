import type { LogLevel } from "../../kernel/log/logger.ts";

/** Everything that one agent process is told. */
export interface AgentSettings {
  /** Name of this host, as OpenStack shows it. */
  readonly host: string;
  /** Identity, journal, images and guests of this host. */
  readonly stateDir: string;
  /** `http://127.0.0.1:5000` */
  readonly serverUrl: string;
  /** PEM file of the authority behind the server's certificate. */
  readonly caFile: string | null;
  /** Holds the one-time join token; read and removed when the host has no identity yet. */
  readonly joinTokenFile: string | null;
  /** Instance store that several hosts mount. */
  readonly sharedDir: string | null;
  readonly accelerator: "auto" | "kvm" | "tcg";
  /** The namespace that plays this host on a machine with several, or none: user-mode networking. */
  readonly namespace: { readonly netns: string; readonly address: string } | null;
  /** Kernel and RAM disk for the KVM probe; without them TCG is used when `accelerator` is auto. */
  readonly probeGuest: { readonly kernel: string; readonly ramdisk: string } | null;
  /** What to offer instead of all that the machine has. */
  readonly capacity: { readonly vcpus?: number; readonly ramMiB?: number; readonly diskGiB?: number };
  /** Other hosts of this machine, which this one may fence: name → state folder and namespace. */
  readonly neighbours: Readonly<Record<string, { readonly stateDir: string; readonly netns: string | null }>>;
  /** Folder shared by the hosts of this machine; limits how many guests boot at once. */
  readonly bootSlotsDir: string | null;
  /** File that describes the volume backends; null for a host without volumes. */
  readonly volumeBackendsFile: string | null;
  /** Short folder for the sockets of volumes; hosts of one machine share it. */
  readonly volumeRunDir: string;
  readonly logLevel: LogLevel;
}
