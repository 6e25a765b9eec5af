import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { patternOf, StorageContext } from "../../../conformance/block-storage-environment.ts";
import { endStorageDaemons } from "./end-daemons.ts";
import { daemonsMarked } from "./process-identity.ts";
import { Site } from "./site.ts";
import { storageLab, whyNoStorage } from "./testing/storage-lab.ts";

const skip = (await whyNoStorage()) ?? false;

test("what serves from some arrays ends, of both copies, and nothing else; what was acknowledged is there", {
  skip,
}, async () => {
  const env = await storageLab();
  try {
    const c = new StorageContext(env);
    const folder = dirname(env.memberOptions.directory);
    const arrays = ["shared", "second"].map((name) => join(folder, name));
    const serving = async (directory: string) => (await daemonsMarked(`.${new Site("", directory).tag}-`)).length;
    const volumeId = await c.volume({ replicated: true });
    const client = await c.client(volumeId);
    await client.write(0, patternOf(1));
    const other = c.spec();
    await env.other.driver.ensure(other, c.call());
    const untouched = await c.client(other.volumeId, env.other);
    await c.until("both copies are served", async () => (await Promise.all(arrays.map(serving))).every((n) => n === 1));

    for (let i = 0; i < 2; i += 1) await endStorageDaemons(arrays, systemClock);
    assert.deepEqual(await Promise.all(arrays.map(serving)), [0, 0]);
    assert.equal(await serving(join(folder, "apart")), 1);
    await untouched.write(0, patternOf(2));

    await env.a.restart();
    await c.until("served again", async () => (await env.a.driver.inspect(volumeId))?.connection !== null);
    assert.ok(patternOf(1).equals(await client.read(0, 4096)));
    for (const each of [client, untouched]) each.close();
    await env.a.driver.ensureNotExported(volumeId, c.call());
    await env.other.driver.ensureNotExported(other.volumeId, c.call());
    await c.cleanUp();
  } finally {
    await env.dispose();
  }
});
