import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { StorageArray } from "./array.ts";
import { endStorageDaemons } from "./end-daemons.ts";
import { failover } from "./failover.ts";
import { daemonsMarked } from "./process-identity.ts";
import { ensureExported } from "./serving.ts";
import { call } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";
import { ensureVolume } from "./volumes.ts";

const skip = (await whyNoStorage()) ?? false;

test("who begins to serve a volume while its backend fails over does not go on taking writes at the old place", {
  skip,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  const [own, second] = [join(dir, "own"), join(dir, "second")];
  try {
    const array = await StorageArray.prepare({
      ...{ host: "host-1", backend: "one", cluster: null, directory: own, runDir: join(dir, "run") },
      ...{ capacityGiB: 4, reservedPercent: 0, replicationTargets: [{ id: "second", directory: second }] },
      ...{ clock: systemClock, ids: systemIds, log: silentLogger },
    });
    const volumeId = systemIds.uuid();
    await ensureVolume(array, { volumeId, sizeGiB: 1, source: { kind: "empty" }, replicated: true }, call());
    const kill = array.killAllDaemons.bind(array);
    // The moment after the old array's processes were killed, and before it is on record that the other one serves.
    array.killAllDaemons = async (site) => {
      await kill(site);
      await ensureExported(array, await array.required(volumeId), call().signal);
    };
    const { volumes } = await failover(array, null, call());
    assert.deepEqual(
      volumes.map(({ ok }) => ok),
      [true],
    );
    assert.deepEqual(await daemonsMarked(`${volumeId}.${array.own.tag}-`), [], "of the old array");
    const served = await array.required(volumeId);
    assert.equal(served.main.site.id, "second");
    assert.ok(await array.daemonOf(served.main), "served at the new place");
  } finally {
    await endStorageDaemons([own, second], systemClock);
    await rm(dir, { recursive: true });
  }
});
