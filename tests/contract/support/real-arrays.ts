import { join } from "node:path";
import { daemonsMarked } from "../../../agent/drivers/block-storage/file-nbd/process-identity.ts";
import { Site } from "../../../agent/drivers/block-storage/file-nbd/site.ts";
import { killForCertain } from "../../../agent/process/running-process.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import type { RealCloud } from "./real-cloud.ts";

/** An array of a real cloud: the place of a backend's volumes, or of their second copies. */
export class RealArray {
  readonly #site: Site;

  constructor(cloud: RealCloud, name: "shared" | "replicated" | "second") {
    this.#site = new Site("", join(cloud.stateDir, "volumes", name));
  }

  /** Process ids of all that serves its volumes. */
  daemons(): Promise<number[]> {
    return daemonsMarked(`.${this.#site.tag}-`);
  }

  /** `kill -9` for all that serves its volumes; returns how many there were when all are gone. */
  async kill(): Promise<number> {
    const pids = await this.daemons();
    for (const pid of pids) await killForCertain(pid, systemClock);
    return pids.length;
  }

  /** Whether it holds the volume as a second copy that has everything the first has. */
  async mirrors(volumeId: string): Promise<boolean> {
    const copies = await this.#site.copies();
    return copies.some((copy) => copy.volumeId === volumeId && copy.trust.kind === "ready");
  }
}
