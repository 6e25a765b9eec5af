import assert from "node:assert/strict";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { Qmp } from "../../../process/qmp.ts";
import type { StorageArray } from "./array.ts";
import { GIB } from "./disk-files.ts";
import { createFileNbdDriver } from "./driver.ts";
import { endStorageDaemons } from "./end-daemons.ts";
import { call, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { whyNoStorage } from "./testing/storage-lab.ts";

const skip = (await whyNoStorage()) ?? false;

/** A served volume, and the snapshot of it that a member had begun when it was killed: its daemon copies on. */
async function withCopyUnderWay(t: TestContext) {
  const array = await replicatedArray(t);
  const driver = await createFileNbdDriver(array.options);
  t.after(async () => {
    await driver.close();
    await endStorageDaemons([array.own.directory, ...array.targets.map((site) => site.directory)], systemClock);
  });
  const { volumeId, ...spec } = newSpec();
  await driver.ensure({ volumeId, ...spec, replicated: false }, call());
  await driver.ensureExported(volumeId, call());
  const snapshotId = systemIds.uuid();
  const begun = { snapshotId, volumeId, sizeGiB: 1, sizeBytes: GIB, replicated: false, state: "creating" } as const;
  await array.own.writeSnapshot(begun);
  const partial = join(array.own.snapshotDir(snapshotId), "left.partial");
  await mkdir(array.own.snapshotDir(snapshotId), { recursive: true });
  await writeFile(partial, "");
  await truncate(partial, GIB);
  await ask(array, volumeId, async (qmp) => {
    const file = { driver: "file", filename: partial };
    await qmp.execute("blockdev-add", { driver: "raw", "node-name": "backup-job", file });
    const job = { "job-id": "backup-job", device: "base", target: "backup-job", sync: "full", speed: 1 };
    await qmp.execute("blockdev-backup", { ...job, "auto-dismiss": false });
  });
  return { array, driver, volumeId, snapshotId };
}

async function ask<T>(array: StorageArray, volumeId: string, work: (qmp: Qmp) => Promise<T>): Promise<T> {
  const files = await array.daemonOf((await array.required(volumeId)).main);
  const qmp = await Qmp.open(files?.qmp ?? "", systemClock);
  try {
    return await work(qmp);
  } finally {
    qmp.close();
  }
}

test("a snapshot that is removed before it was taken is not copied on: its room is free", { skip }, async (t) => {
  const { array, driver, volumeId, snapshotId } = await withCopyUnderWay(t);
  await driver.ensureSnapshotAbsent(snapshotId, call());
  const left = await ask(array, volumeId, async (qmp) => [
    ...(await qmp.execute<{ device: string }[]>("query-block-jobs")).map(({ device }) => device),
    ...(await qmp.execute<{ "node-name": string }[]>("query-named-block-nodes", { flat: true }))
      .map((node) => node["node-name"])
      .filter((name) => name.includes("backup")),
  ]);
  assert.deepEqual(left, []);
});
