import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import type { StorageCloud } from "../../tests/chaos/support/storage-cloud.ts";

export const LIMIT_MS = 60_000;
/** Between two looks. */
export const LOOK_MS = 5;

interface Shown {
  readonly status: string;
  readonly replication_status: string;
}

/** Waits for a condition with a limit, looking often enough to measure by it. */
export async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  while (!(await look())) {
    if (performance.now() > limit) throw new Error(`waited in vain until ${what}`);
    await sleep(systemClock, LOOK_MS);
  }
}

export async function showVolume(cloud: StorageCloud, id: string): Promise<Shown> {
  return (await cloud.get<{ volume: Shown }>(`/volume/v3/volumes/${id}`)).volume;
}

/** Milliseconds from the request to the look that shows it available, and the id. */
export async function createVolume(cloud: StorageCloud, type: string): Promise<{ id: string; ms: number }> {
  const begun = performance.now();
  const body = { volume: { size: 1, volume_type: type } };
  const { id } = (await cloud.ask<{ volume: { id: string } }>("POST", "/volume/v3/volumes", body)).volume;
  await until(`${id} is available`, async () => (await showVolume(cloud, id)).status === "available");
  return { id, ms: performance.now() - begun };
}
