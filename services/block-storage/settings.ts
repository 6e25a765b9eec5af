/** What an operator can set; names and defaults are OpenStack's. Times in milliseconds. */
export interface BlockStorageSettings {
  /** Zone of volumes and of services that name none. */
  readonly storageAvailabilityZone: string;
  /** New services, and clusters that they create, start enabled. */
  readonly enableNewServices: boolean;
  /** Backends to try for a create. */
  readonly schedulerMaxAttempts: number;
  readonly defaultVolumeType: string;
  readonly maxLimit: number;
  /** Copy of a volume between backends. */
  readonly migrationTimeoutMs: number;
  /** How long an agent may take to answer a question that a request waits for. */
  readonly askTimeoutMs: number;
  /** How long one try of a failover may take. */
  readonly failoverTimeoutMs: number;
}

export const defaultBlockStorageSettings: BlockStorageSettings = {
  storageAvailabilityZone: "nova",
  enableNewServices: true,
  schedulerMaxAttempts: 3,
  defaultVolumeType: "__DEFAULT__",
  maxLimit: 1000,
  migrationTimeoutMs: 3_600_000,
  askTimeoutMs: 15_000,
  failoverTimeoutMs: 600_000,
};
