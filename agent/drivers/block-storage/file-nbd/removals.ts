import type { StorageArray } from "./array.ts";
import type { Removable } from "./site.ts";

/**
 * Asked when what can be seen of it is on record as going. Every array that may hold a copy must be there, or the copy would be
 * there for ever: throws `storage.array_unreachable`. But nobody waits for the backend's own array once it was failed over: the
 * array that serves then remembers what was removed, and a failback removes it there.
 */
export async function requireRemovable(
  array: StorageArray,
  what: Removable,
  { replicated }: { replicated: boolean },
): Promise<void> {
  const active = await array.activeSite();
  await active.requireReachable();
  if (replicated) for (const target of array.targets) await target.requireReachable();
  if (active !== array.own && !(await array.own.isReachable())) await active.rememberRemoved(what);
}
