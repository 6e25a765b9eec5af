import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { StorageContext } from "../../../conformance/block-storage-environment.ts";
import { BACKEND, StorageArray } from "./array.ts";
import { serveAgain } from "./serve-again.ts";
import { storageLab, whyNoStorage } from "./testing/storage-lab.ts";

const skip = (await whyNoStorage()) ?? false;

test("nothing is served again while a failover holds the backend or anybody the volume", { skip }, async () => {
  const env = await storageLab();
  try {
    const c = new StorageContext(env);
    const volumeId = await c.volume();
    await env.a.driver.ensureExported(volumeId, c.call());
    const around = { clock: systemClock, ids: systemIds, log: silentLogger };
    const array = await StorageArray.prepare({ ...env.memberOptions, ...around });
    await env.killArray("default");
    const { signal } = c.call();
    for (const held of [BACKEND, volumeId]) {
      await array.locks.holding([held], signal, () => serveAgain(array, signal));
      assert.equal((await env.a.driver.inspect(volumeId))?.connection, null, `with ${held} held`);
    }
    await serveAgain(array, signal);
    assert.ok((await env.a.driver.inspect(volumeId))?.connection);
    await env.a.driver.ensureNotExported(volumeId, c.call());
    await c.cleanUp();
  } finally {
    await env.dispose();
  }
});
