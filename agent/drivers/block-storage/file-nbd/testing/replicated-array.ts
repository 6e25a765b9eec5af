import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import type { VolumeSpec } from "../../../../protocol/block-storage.ts";
import type { Call } from "../../../../runtime/call.ts";
import { StorageArray } from "../array.ts";
import { endStorageDaemons } from "../end-daemons.ts";
import type { Site } from "../site.ts";
import { callWithin } from "./call.ts";
import { NbdClient } from "./nbd-client.ts";

const LIMIT_MS = 60_000;
const CLIENT_LIMIT_MS = 10_000;

/** A call in no hurry that nobody waits for. */
export const call = (): Call => callWithin(LIMIT_MS);

/** A backend with a second array. What comes to serve there ends with the test. */
export async function replicatedArray(t: TestContext): Promise<StorageArray> {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  const [own, second] = [join(dir, "own"), join(dir, "second")];
  t.after(async () => {
    await endStorageDaemons([own, second], systemClock);
    await rm(dir, { recursive: true });
  });
  return StorageArray.prepare({
    ...{ host: "host-1", backend: "one", cluster: null, directory: own, runDir: join(dir, "run") },
    stateDir: join(dir, "state"),
    ...{ capacityGiB: 4, reservedPercent: 0, replicationTargets: [{ id: "second", directory: second }] },
    ...{ clock: systemClock, ids: systemIds, log: silentLogger },
  });
}

/** Of an empty volume with a second copy. */
export const newSpec = (): VolumeSpec => {
  return { volumeId: systemIds.uuid(), sizeGiB: 1, source: { kind: "empty" }, replicated: true };
};

/** Of the volume's address; closed at the end of the test. */
export function clientOf(t: TestContext, array: StorageArray, volumeId: string): NbdClient {
  const client = new NbdClient(array.address(volumeId), CLIENT_LIMIT_MS);
  t.after(() => client.close());
  return client;
}

/** Takes the array's disk away, with what it holds. Returns the way to bring it back. */
export async function takeAway({ directory }: Site): Promise<() => Promise<void>> {
  await rename(directory, `${directory}.away`);
  return () => rename(`${directory}.away`, directory);
}
