import { minutes } from "../../../../kernel/clock/clock.ts";
import { BACKEND, type Copy, type StorageArray, type VolumeCopies } from "./array.ts";
import { sizeOf, writtenBytes } from "./disk-files.ts";
import { ensureSecondRecorded, type Pair, replicaState } from "./replica.ts";
import { ensureServing } from "./serving.ts";
import { whenFree } from "./when-free.ts";

/** Of all members together: each reads a whole volume and writes another one. */
const AT_ONCE = 2;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [minutes(1), minutes(60)];

interface Tries {
  failed: number;
  running: boolean;
  notBefore: number;
}

/**
 * Makes second copies of served volumes anew that have become stale: an array that was away is back, or has room again. Whoever
 * is asked for facts looks, so that nobody has to do anything about it. What a failover or anybody else works on is theirs.
 */
export class ReplicaRebuilds {
  readonly #array: StorageArray;
  readonly #tries = new Map<string, Tries>();

  constructor(array: StorageArray) {
    this.#array = array;
  }

  /** Never rejects. */
  async look(closing: AbortSignal): Promise<void> {
    await this.#look(closing).catch((error: unknown) => this.#tell(closing, error, {}));
  }

  async #look(closing: AbortSignal): Promise<void> {
    const { locks, targets } = this.#array;
    if (targets.length === 0) return;
    const known = await this.#array.volumes();
    const ids = new Set(known.map(({ main }) => main.record.volumeId));
    for (const id of this.#tries.keys()) if (!ids.has(id)) this.#tries.delete(id);
    for (const volume of known) {
      const { volumeId } = volume.main.record;
      if (closing.aborted) return;
      if (!(await this.#isDue(volume))) continue;
      const alone = () => whenFree(locks, volumeId, closing, () => this.#rebuild(volumeId));
      const work = async () => ((await this.#mayBegin()) ? alone() : undefined);
      await whenFree(locks, BACKEND, closing, work).catch((error: unknown) => this.#tell(closing, error, { volumeId }));
    }
  }

  /** A try that left the copy stale has failed, however long it took. */
  async #isDue(volume: VolumeCopies): Promise<boolean> {
    if (await this.#isLost(volume)) return true;
    const pair = await this.#rebuildable(volume);
    if (!pair) return false;
    const { volumeId } = pair.main.record;
    const state = await replicaState(this.#array, pair);
    if (state === "inSync") this.#tries.delete(volumeId);
    if (state !== "stale") return false;
    const now = this.#array.options.clock.now();
    const tries = this.#tries.get(volumeId);
    if (tries?.running) {
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries.failed, LONGEST_PAUSE_MS);
      this.#tries.set(volumeId, { failed: tries.failed + 1, running: false, notBefore: now + pause });
    }
    return now >= (this.#tries.get(volumeId)?.notBefore ?? 0);
  }

  /** The two copies of one that clients use where the backend's own array serves. */
  async #rebuildable({ main, replica }: VolumeCopies): Promise<Pair | undefined> {
    return replica && (await this.#isInUse(main)) ? { main, replica } : undefined;
  }

  /** Its second copy's array is there and does not have it: a new disk. */
  async #isLost({ main, replica }: VolumeCopies): Promise<boolean> {
    const [target] = this.#array.targets;
    if (replica || !target || !main.record.replicated || !(await this.#isInUse(main))) return false;
    return await target.isReachable();
  }

  async #isInUse(main: Copy): Promise<boolean> {
    return main.site === this.#array.own && main.record.exported && (await this.#array.isServed(main));
  }

  async #mayBegin(): Promise<boolean> {
    if ((await this.#array.backend()).active !== null) return false;
    let syncing = 0;
    for (const { main, replica } of await this.#array.volumes())
      if (replica && (await replicaState(this.#array, { main, replica })) === "syncing") syncing += 1;
    return syncing < AT_ONCE;
  }

  async #rebuild(volumeId: string): Promise<void> {
    const volume = await this.#array.find(volumeId);
    if (volume && (await this.#isInUse(volume.main))) await ensureSecondRecorded(this.#array, volume);
    const pair = volume && (await this.#rebuildable(volume));
    if (!pair || (await replicaState(this.#array, pair)) !== "stale" || !(await hasRoom(pair))) return;
    const failed = this.#tries.get(volumeId)?.failed ?? 0;
    this.#tries.set(volumeId, { failed, running: true, notBefore: 0 });
    this.#array.options.log.info({ volume: volumeId }, "a second copy is made anew");
    await ensureServing(this.#array, pair);
  }

  #tell(closing: AbortSignal, error: unknown, about: object): void {
    if (!closing.aborted) this.#array.options.log.warn({ ...about, error: String(error) }, "second copies stay stale");
  }
}

/** A mirror writes zeros as such: the second copy takes all that the volume's size promises. */
async function hasRoom({ main, replica }: Pair): Promise<boolean> {
  const { volumeId } = main.record;
  const there = await writtenBytes(replica.site.disk(volumeId));
  return (await sizeOf(main.site.disk(volumeId))) - there <= (await replica.site.freeBytes());
}
