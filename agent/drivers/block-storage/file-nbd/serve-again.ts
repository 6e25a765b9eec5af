import { BACKEND, type StorageArray } from "./array.ts";
import { ensureServing, isMissed } from "./serving.ts";
import { whenFree } from "./when-free.ts";

/**
 * Serves what is meant to be served and is not: the machine was started anew, or a daemon died. Guests wait for that at the
 * volume's address. What a failover or anybody else works on is theirs; that, and what cannot be served now, is left to the next
 * time. Never rejects.
 */
export async function serveAgain(array: StorageArray, closing: AbortSignal): Promise<void> {
  const tell = (about: object) => (error: unknown) => {
    if (!closing.aborted) array.options.log.warn({ ...about, error: String(error) }, "a volume is not served again");
  };
  const volumes = await wanted(array).catch((error: unknown) => {
    tell({ backend: array.options.backend })(error);
    return [];
  });
  for (const volume of volumes) {
    if (closing.aborted) return;
    const alone = () => whenFree(array.locks, volume, closing, () => serve(array, volume));
    await whenFree(array.locks, BACKEND, closing, alone).catch(tell({ volume }));
  }
}

async function wanted(array: StorageArray): Promise<string[]> {
  const unserved: string[] = [];
  for (const { main } of await array.volumes()) if (await isMissed(array, main)) unserved.push(main.record.volumeId);
  return unserved;
}

async function serve(array: StorageArray, volumeId: string): Promise<void> {
  const volume = await array.find(volumeId);
  if (volume && (await isMissed(array, volume.main))) await ensureServing(array, volume);
}
