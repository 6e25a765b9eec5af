/** What an operator can set; names and defaults are OpenStack's. Times in milliseconds. */
export interface ComputeSettings {
  /** Automatic confirm of a resize or cold migration; 0 is off. */
  readonly resizeConfirmWindowMs: number;
  /** Further hosts to try for a live migration; −1 without limit. */
  readonly migrateMaxRetries: number;
  /** Hosts to try for a build, a resize or a cold migration. */
  readonly schedulerMaxAttempts: number;
  /** Live migrations that leave one host at the same time. */
  readonly maxConcurrentLiveMigrations: number;
  /** Per GiB of memory and disk, at least 2 GiB; 0 is off. */
  readonly liveMigrationCompletionTimeoutMs: number;
  readonly liveMigrationTimeoutAction: "abort" | "force_complete";
  readonly liveMigrationPermitPostCopy: boolean;
  readonly liveMigrationPermitAutoConverge: boolean;
  readonly liveMigrationDowntimeMs: number;
  /** MiB/s; 0 without limit. */
  readonly liveMigrationBandwidth: number;
  /** In what time every host that is up has been compared with the database; 0 is never. */
  readonly syncPowerStateIntervalMs: number;
  /** How long a guest may take to power off before it is cut. */
  readonly shutdownTimeoutMs: number;
  /** Start and spawn of a guest. */
  readonly bootTimeoutMs: number;
  /** Copy of a disk between hosts. */
  readonly diskCopyTimeoutMs: number;
  readonly cpuAllocationRatio: number;
  readonly ramAllocationRatio: number;
  readonly diskAllocationRatio: number;
  readonly maxLimit: number;
  readonly defaultAvailabilityZone: string;
}

export const defaultComputeSettings: ComputeSettings = {
  resizeConfirmWindowMs: 0,
  migrateMaxRetries: -1,
  schedulerMaxAttempts: 3,
  maxConcurrentLiveMigrations: 1,
  liveMigrationCompletionTimeoutMs: 800_000,
  liveMigrationTimeoutAction: "abort",
  liveMigrationPermitPostCopy: false,
  liveMigrationPermitAutoConverge: false,
  liveMigrationDowntimeMs: 500,
  liveMigrationBandwidth: 0,
  syncPowerStateIntervalMs: 600_000,
  shutdownTimeoutMs: 60_000,
  bootTimeoutMs: 300_000,
  diskCopyTimeoutMs: 3_600_000,
  cpuAllocationRatio: 16,
  ramAllocationRatio: 1,
  diskAllocationRatio: 1,
  maxLimit: 1000,
  defaultAvailabilityZone: "nova",
};
