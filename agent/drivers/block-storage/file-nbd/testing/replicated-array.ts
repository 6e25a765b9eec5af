import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import type { VolumeSpec } from "../../../../protocol/block-storage.ts";
import type { Call } from "../../../../runtime/call.ts";
import { StorageArray } from "../array.ts";
import { callWithin } from "./call.ts";

const LIMIT_MS = 60_000;

/** A call in no hurry that nobody waits for. */
export const call = (): Call => callWithin(LIMIT_MS);

/** A backend with a second array, with nothing that serves. */
export async function replicatedArray(t: TestContext): Promise<StorageArray> {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  t.after(() => rm(dir, { recursive: true }));
  return StorageArray.prepare({
    ...{ host: "host-1", backend: "one", cluster: null, directory: join(dir, "own"), runDir: join(dir, "run") },
    stateDir: join(dir, "state"),
    ...{ capacityGiB: 4, reservedPercent: 0, replicationTargets: [{ id: "second", directory: join(dir, "second") }] },
    ...{ clock: systemClock, ids: systemIds, log: silentLogger },
  });
}

/** Of an empty volume with a second copy. */
export const newSpec = (): VolumeSpec => {
  return { volumeId: systemIds.uuid(), sizeGiB: 1, source: { kind: "empty" }, replicated: true };
};
