import assert from "node:assert/strict";
import { rename, rm } from "node:fs/promises";
import { test } from "node:test";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import type { StorageArray } from "./array.ts";
import { createFileNbdDriver } from "./driver.ts";
import { failover } from "./failover.ts";
import { release } from "./manage.ts";
import type { Site } from "./site.ts";
import { ensureSnapshot, removeSnapshot, snapshotSite } from "./snapshots.ts";
import { call, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { ensureVolume, removeVolume } from "./volumes.ts";

const UNREACHABLE = { kind: "unavailable", code: "storage.array_unreachable" };
const FAILED_OVER = { kind: "conflict", code: "storage.failed_over" };

const secondOf = (array: StorageArray): Site => array.targets[0] ?? assert.fail("no second array");

async function withoutDisks(site: Site, work: () => Promise<void>): Promise<void> {
  await rename(site.directory, `${site.directory}.away`);
  await work();
  await rename(`${site.directory}.away`, site.directory);
}

/** A volume with a second copy, and a snapshot of it. */
async function withSnapshot(array: StorageArray): Promise<{ volumeId: string; snapshotId: string }> {
  const { volumeId, ...spec } = newSpec();
  await ensureVolume(array, { volumeId, ...spec }, call());
  const snapshotId = systemIds.uuid();
  await ensureSnapshot(array, snapshotId, volumeId, call());
  return { volumeId, snapshotId };
}

async function contents(array: StorageArray): Promise<string[]> {
  const found: string[] = [];
  for (const site of array.sites) {
    for (const { volumeId } of await site.copies()) found.push(`${site.id} ${volumeId}`);
    for (const { snapshotId } of await site.snapshots()) found.push(`${site.id} ${snapshotId}`);
  }
  return found;
}

test("a failback removes nothing that was not removed: neither volumes nor snapshots that have no second copy", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, snapshotId } = await withSnapshot(array);
  const second = secondOf(array);
  const later = systemIds.uuid();
  await withoutDisks(second, async () => void (await ensureSnapshot(array, later, volumeId, call())));
  await rm(second.volumeDir(volumeId), { recursive: true });
  await failover(array, null, call());
  await failover(array, "default", call());
  assert.equal((await array.own.copy(volumeId))?.state, "ready");
  for (const id of [snapshotId, later]) assert.equal((await array.own.snapshot(id))?.state, "ready");
});

test("a failback is refused while the array that serves cannot be reached: it knows what was written and removed", async (t) => {
  const array = await replicatedArray(t);
  await withSnapshot(array);
  await failover(array, null, call());
  const before = await contents(array);
  await withoutDisks(secondOf(array), async () => {
    await assert.rejects(failover(array, "default", call()), { kind: "conflict", code: "storage.target_unreachable" });
  });
  assert.deepEqual(await contents(array), before);
  assert.equal((await array.backend()).active, "second");
});

test("what was removed while the backend's own array was away goes from there with the failback", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, snapshotId } = await withSnapshot(array);
  const single = { ...newSpec(), replicated: false };
  await ensureVolume(array, single, call());
  await withoutDisks(array.own, async () => {
    await failover(array, null, call());
    for (let i = 0; i < 2; i += 1) {
      for (const id of [volumeId, single.volumeId]) await removeVolume(array, id);
      await removeSnapshot(array, snapshotId);
    }
    await assert.rejects(array.required(volumeId), { code: "storage.volume_not_found" });
  });
  await failover(array, "default", call());
  assert.deepEqual(await contents(array), []);
  const again = await ensureVolume(array, single, call());
  await failover(array, null, call());
  await failover(array, "default", call());
  assert.equal((await array.required(again.main.record.volumeId)).main.record.state, "ready");
});

test("an array that is away is not taken for one that holds nothing", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, snapshotId } = await withSnapshot(array);
  const single = { ...newSpec(), replicated: false };
  await ensureVolume(array, single, call());
  const before = await contents(array);
  await withoutDisks(array.own, async () => {
    for (const id of [volumeId, single.volumeId, systemIds.uuid()]) {
      await assert.rejects(removeVolume(array, id), UNREACHABLE);
      await assert.rejects(release(array, id), UNREACHABLE);
      await assert.rejects(array.required(id), UNREACHABLE);
    }
    for (const id of [snapshotId, systemIds.uuid()]) await assert.rejects(removeSnapshot(array, id), UNREACHABLE);
    await assert.rejects(snapshotSite(array, systemIds.uuid()), UNREACHABLE);
    for (const replicated of [true, false])
      await assert.rejects(ensureVolume(array, { ...newSpec(), replicated }, call()), UNREACHABLE);
    await assert.rejects(ensureVolume(array, single, call()), UNREACHABLE);
    await failover(array, null, call());
    await assert.rejects(array.required(single.volumeId), FAILED_OVER);
    assert.equal((await array.required(volumeId)).main.site.id, "second");
  });
  await array.catchUp();
  await withoutDisks(secondOf(array), async () => {
    await assert.rejects(array.required(volumeId), UNREACHABLE);
    for (const id of [volumeId, single.volumeId, systemIds.uuid()]) {
      await assert.rejects(removeVolume(array, id), UNREACHABLE);
      await assert.rejects(release(array, id), UNREACHABLE);
    }
    await assert.rejects(removeSnapshot(array, snapshotId), UNREACHABLE);
  });
  await failover(array, "default", call());
  assert.deepEqual((await contents(array)).toSorted(), before.toSorted());
});

test("an array that was away while the backend failed over serves nothing old when it is the only one", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId } = await withSnapshot(array);
  await withoutDisks(array.own, async () => void (await failover(array, null, call())));
  assert.equal(await array.isBehind(), true);
  await failover(array, null, call());
  assert.equal(await array.isBehind(), false);
  assert.equal((await array.own.copy(volumeId))?.role, "replica");
  await withoutDisks(secondOf(array), async () => {
    assert.equal((await array.backend()).active, "second");
    assert.equal(await array.find(volumeId), undefined);
  });
});

test("who reports tells an array of the failover that it missed", async (t) => {
  const { options, ...array } = await replicatedArray(t);
  const { volumeId, ...spec } = newSpec();
  const driver = await createFileNbdDriver(options);
  try {
    await driver.ensure({ volumeId, ...spec }, call());
    await withoutDisks(array.own, async () => void (await driver.replication?.failover(null, call())));
    assert.equal((await driver.stats()).activeBackendId, "second");
    await withoutDisks(array.targets[0] ?? array.own, async () => {
      assert.equal((await driver.stats()).activeBackendId, "second");
      await assert.rejects(driver.ensureExported(volumeId, call()), UNREACHABLE);
    });
  } finally {
    await driver.close();
  }
});

test("what may pass by itself does not put a volume in error for good: a failover tries it again", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId } = await withSnapshot(array);
  for (const [faults, ok] of [
    [3, true],
    [4, false],
  ] as const) {
    const { mock } = t.mock.method(secondOf(array), "writeCopy");
    for (let i = 0; i < faults; i += 1)
      mock.mockImplementationOnce(async () => {
        throw new CloudError("unavailable", "qemu.silent", "A process does not answer.");
      }, i);
    const { volumes } = await failover(array, null, call());
    assert.deepEqual(volumes, [
      {
        volumeId,
        ok,
        fault: ok ? null : { code: "qemu.silent", message: "A process does not answer." },
        connection: null,
      },
    ]);
    mock.restore();
    await failover(array, "default", call());
  }
});

test("a target that is away keeps back what needs it, and nothing else", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId, snapshotId } = await withSnapshot(array);
  const single = { ...newSpec(), replicated: false };
  await withoutDisks(secondOf(array), async () => {
    await assert.rejects(ensureVolume(array, newSpec(), call()), UNREACHABLE);
    await assert.rejects(removeVolume(array, volumeId), UNREACHABLE);
    await assert.rejects(release(array, volumeId), UNREACHABLE);
    await assert.rejects(removeSnapshot(array, snapshotId), UNREACHABLE);
    assert.equal((await array.required(volumeId)).main.site, array.own);
    await ensureVolume(array, single, call());
    await removeVolume(array, single.volumeId);
    await removeVolume(array, systemIds.uuid());
    await assert.rejects(array.required(systemIds.uuid()), { code: "storage.volume_not_found" });
  });
  await removeVolume(array, volumeId);
  await removeSnapshot(array, snapshotId);
  assert.deepEqual(await contents(array), []);
});
