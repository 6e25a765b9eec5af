import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "../../../../kernel/clock/clock.ts";
import { StorageContext, verifyBlocks, WriteStream } from "../../../conformance/block-storage-environment.ts";
import { runCommand } from "../../../process/run-command.ts";
import { actsOf } from "./testing/doomed-member.ts";
import { storageLab, whyNoStorage } from "./testing/storage-lab.ts";

const PROGRAM = fileURLToPath(new URL("./testing/doomed-member.ts", import.meta.url));
const ACTS = ["ensure", "export", "size", "snapshot", "copy", "failover", "failback", "unexport"];
/** How far into the act the kill comes. */
const DEPTHS_MS = [0, 60];

const skip = await whyNoStorage();
for (const name of ACTS) {
  test(`a member killed in the middle of ${name}: another one finishes it`, skip === null ? {} : { skip }, async () => {
    for (const depthMs of DEPTHS_MS) await killedIn(name, depthMs);
  });
}

async function killedIn(name: string, depthMs: number): Promise<void> {
  const env = await storageLab();
  try {
    const c = new StorageContext(env);
    const life = { volumeId: c.spec().volumeId, copyId: c.spec().volumeId, snapshotId: c.snapshotId() };
    await untilKilled({ ...env.memberOptions, life }, name, depthMs);
    const driver = env.b.driver;
    const acts = actsOf(driver, life, c.call());
    const reached = acts.findIndex(([act]) => act === name);
    for (const [, act] of acts.slice(reached, -1)) await act();
    const facts = await driver.ensureExported(life.volumeId, c.call());
    assert.deepEqual([facts.state, facts.sizeBytes, facts.exported], ["ready", 2 * 1024 ** 3, true]);
    await c.until("the second copy to be in sync", async () => {
      return (await driver.inspect(life.volumeId))?.replica === "inSync";
    });
    const stream = new WriteStream(await c.client(life.volumeId, env.b));
    await c.until("writes", async () => stream.acknowledged > 5);
    await stream.verify();
    assert.equal((await driver.stats()).provisionedGiB, 6);
    await env.killArray("default");
    assert.deepEqual(
      (await driver.replication?.failover("second", c.call()))?.volumes.map(({ ok }) => ok),
      [true, true],
    );
    await verifyBlocks(await c.client(life.volumeId, env.b), stream.acknowledged);
    await driver.replication?.failover("default", c.call());
    await c.cleanUp();
  } finally {
    await env.dispose();
  }
}

/** Runs a member of its own until it has been in that act for so long. */
async function untilKilled(options: object, act: string, depthMs: number): Promise<void> {
  const kill = new AbortController();
  let said = "";
  const onOutput = (text: string) => {
    said += text;
    if (said.split("\n").includes(act)) void sleep(systemClock, depthMs).then(() => kill.abort(new Error("killed")));
  };
  const args = [PROGRAM, JSON.stringify(options)];
  await runCommand(process.execPath, args, { signal: kill.signal, onOutput }).catch((error: unknown) => {
    if (!kill.signal.aborted) throw error;
  });
}
