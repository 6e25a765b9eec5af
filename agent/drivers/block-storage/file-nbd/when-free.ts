import type { FileLocks } from "./file-locks.ts";

/** How long a look waits for whoever works on what it looks at. */
const PATIENCE_MS = 500;

/**
 * Does it under the lock, or not at all when others hold that for longer than a moment: what it would have seen is on record by
 * then, or seen next time. Undefined when it was not done. Throws the reason of `closing`.
 */
export async function whenFree<T>(
  locks: FileLocks,
  name: string,
  closing: AbortSignal,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  return await locks.holding([name], AbortSignal.any([closing, patience]), work).catch((error: unknown) => {
    closing.throwIfAborted();
    if (error !== patience.reason) throw error;
    return undefined;
  });
}
