/** How the fleet judges liveness; names and defaults are OpenStack's. Milliseconds. */
export interface FleetSettings {
  /** A service whose last heartbeat is older is down. */
  readonly serviceDownTimeMs: number;
  /** How often an agent must be heard: the longest that a poll is held. */
  readonly reportIntervalMs: number;
}

export const defaultFleetSettings: FleetSettings = { serviceDownTimeMs: 60_000, reportIntervalMs: 10_000 };
