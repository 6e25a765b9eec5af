import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { GuestVolume } from "../../../protocol/compute.ts";
import { SimTicker } from "./sim-console.ts";
import type { SimGuest, SimHost } from "./sim-host.ts";

/** Which guests have which volumes. What a volume is and holds is the storage world's, but for the ticks of those who boot from it. */
export class SimVolumeUse {
  readonly #violations: string[];
  /** Guests that could write to a volume now, by volume. */
  readonly #writers = new Map<string, Map<SimGuest, SimHost>>();
  readonly #tickers = new Map<string, SimTicker>();

  /** `violations` is told when two guests could write to one volume. */
  constructor(violations: string[]) {
    this.#violations = violations;
  }

  /** The ticks of whoever boots from the volume. */
  ticker(volumeId: string): SimTicker {
    const ticker = this.#tickers.get(volumeId) ?? new SimTicker();
    this.#tickers.set(volumeId, ticker);
    return ticker;
  }

  /** Gives the guest these volumes and no others; an active one keeps what it booted from. */
  plug(host: SimHost, guest: SimGuest, volumes: readonly GuestVolume[]): void {
    this.letGo(guest);
    const root = guest.active ? guest.volumes.filter((volume) => volume.root) : [];
    const same = (one: GuestVolume) => volumes.find((each) => each.root && each.volumeId === one.volumeId) ?? one;
    guest.volumes = guest.active ? [...root.map(same), ...volumes.filter((volume) => !volume.root)] : [...volumes];
    const ids = new Set(volumes.map((volume) => volume.volumeId));
    for (const id of guest.volumeSizes.keys()) if (!ids.has(id)) guest.volumeSizes.delete(id);
    if (guest.active) this.hold(host, guest);
  }

  /** A paused guest cannot give a disk back: throws `compute.volume_busy`. */
  requireLetsGo(guest: SimGuest, volumes: readonly GuestVolume[]): void {
    const kept = new Set(volumes.map((volume) => volume.volumeId));
    const taken = guest.volumes.find((volume) => !volume.root && !kept.has(volume.volumeId));
    if (guest.power !== "paused" || !taken) return;
    throw new CloudError(
      "unavailable",
      "compute.volume_busy",
      `The guest does not let go of volume ${taken.volumeId}.`,
    );
  }

  /** The guest has become active: it can write. */
  hold(host: SimHost, guest: SimGuest): void {
    for (const { volumeId, readOnly } of guest.volumes) {
      if (readOnly) continue;
      const writers = this.#writers.get(volumeId) ?? new Map<SimGuest, SimHost>();
      for (const [other, where] of writers) {
        if (other === guest) continue;
        const [one, two] = [`${other.serverId} on ${where.name}`, `${guest.serverId} on ${host.name}`];
        this.#violations.push(`volume ${volumeId} is written by ${one} and by ${two}`);
      }
      this.#writers.set(volumeId, writers.set(guest, host));
    }
  }

  letGo(guest: SimGuest): void {
    for (const { volumeId } of guest.volumes) {
      const writers = this.#writers.get(volumeId);
      writers?.delete(guest);
      if (writers?.size === 0) this.#writers.delete(volumeId);
    }
  }
}
