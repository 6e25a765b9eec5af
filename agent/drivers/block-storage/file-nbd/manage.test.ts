import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import type { VolumeSpec } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import { StorageArray } from "./array.ts";
import { failover } from "./failover.ts";
import { adopt, listManageable, release } from "./manage.ts";
import { ensureVolume } from "./volumes.ts";

const LIMIT_MS = 60_000;

const call = (): Call => ({
  key: systemIds.uuid(),
  epoch: 1,
  deadline: new Date(systemClock.now() + LIMIT_MS),
  signal: AbortSignal.timeout(LIMIT_MS),
  log: silentLogger,
  progress: () => {},
  image: () => Promise.reject(new Error("no images")),
});

/** A backend with a second array, with nothing that serves. */
async function replicatedArray(t: TestContext): Promise<StorageArray> {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  t.after(() => rm(dir, { recursive: true }));
  return StorageArray.prepare({
    ...{ host: "host-1", backend: "one", cluster: null, directory: join(dir, "own"), runDir: join(dir, "run") },
    ...{ capacityGiB: 4, reservedPercent: 0, replicationTargets: [{ id: "second", directory: join(dir, "second") }] },
    ...{ clock: systemClock, ids: systemIds, log: silentLogger },
  });
}

const newSpec = (): VolumeSpec => {
  return { volumeId: systemIds.uuid(), sizeGiB: 1, source: { kind: "empty" }, replicated: true };
};

test("what leads to a file is no data to manage", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId } = newSpec();
  const elsewhere = join(array.options.runDir, "secret");
  await writeFile(elsewhere, "of somebody else");
  await symlink(elsewhere, array.own.importFile("link.raw"));
  assert.deepEqual(await listManageable(array), []);
  const adopted = adopt(array, volumeId, { reference: "link.raw", replicated: false }, call());
  await assert.rejects(adopted, { code: "storage.reference_taken" });
  assert.equal(await array.find(volumeId), undefined);
});

test("a volume that another array serves is let go only when it is home again, every time under the same name", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  await failover(array, null, call());
  for (let i = 0; i < 2; i += 1) {
    await assert.rejects(release(array, spec.volumeId), { code: "storage.failed_over" });
  }
  await failover(array, "default", call());
  const reference = `${spec.volumeId}.raw`;
  for (let i = 0; i < 2; i += 1) assert.equal(await release(array, spec.volumeId), reference);
  const again = await adopt(array, spec.volumeId, { reference, replicated: true }, call());
  assert.equal(again.main.record.state, "ready");
});
