import type { StorageArray } from "./array.ts";
import { activeSite } from "./pool.ts";
import { ensureServing, requireServable } from "./serving.ts";

/**
 * Serves what is meant to be served and is not: the machine was started anew, or a daemon died with nobody there to see it. Guests
 * wait for that at the volume's address. What cannot be served now is left to whoever asks for it. Never rejects.
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
    await array.locks.holding([volume], closing, () => serve(array, volume)).catch(tell({ volume }));
  }
}

async function wanted(array: StorageArray): Promise<string[]> {
  const copies = await (await activeSite(array)).copies();
  return copies.flatMap(({ volumeId, exported, role }) => (exported && role === "main" ? [volumeId] : []));
}

async function serve(array: StorageArray, volumeId: string): Promise<void> {
  const volume = await array.find(volumeId);
  const { exported, state } = volume?.main.record ?? {};
  if (!volume || !exported || state !== "ready" || (await array.daemonOf(volume.main))) return;
  await requireServable(array, volume);
  await ensureServing(array, volume);
}
