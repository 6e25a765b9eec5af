import assert from "node:assert/strict";
import { readFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { failover } from "./failover.ts";
import { adopt, listManageable, release } from "./manage.ts";
import { Site } from "./site.ts";
import { call, newSpec, replicatedArray } from "./testing/replicated-array.ts";
import { ensureVolume, removeVolume } from "./volumes.ts";

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

test("data that cannot become a volume stays what and where it was, and a removal gives it back", async (t) => {
  const array = await replicatedArray(t);
  const { volumeId } = newSpec();
  const file = array.own.importFile("found.raw");
  await writeFile(file, "of its owner");
  const adopting = () => adopt(array, volumeId, { reference: "found.raw", replicated: true }, call());
  // The second array is full.
  const full = t.mock.method(array, "endDaemon", async () => {
    throw new Error("no space");
  });
  await assert.rejects(adopting(), /no space/);
  assert.equal(await readFile(file, "utf8"), "of its owner");
  // Whoever tries again is killed in the middle.
  await rename(file, array.own.disk(volumeId));
  await removeVolume(array, volumeId);
  assert.equal(await readFile(file, "utf8"), "of its owner");
  full.mock.restore();
  assert.equal((await adopting()).main.record.state, "ready");
  await removeVolume(array, volumeId);
  assert.deepEqual(await array.own.references(), []);
});

test("a volume that was being let go when its member was killed is still one, and let go whole by the repeat", async (t) => {
  const array = await replicatedArray(t);
  const spec = newSpec();
  await ensureVolume(array, spec, call());
  const remove = Site.prototype.removeVolume;
  let removals = 0;
  t.mock.method(Site.prototype, "removeVolume", async function (this: Site, id: string) {
    removals += 1;
    if (removals === 2) throw new Error("this member is killed here");
    await remove.call(this, id);
  });
  await assert.rejects(release(array, spec.volumeId), /killed here/);
  assert.equal((await array.required(spec.volumeId)).main.site, array.own);
  assert.equal(await release(array, spec.volumeId), `${spec.volumeId}.raw`);
  for (const site of array.sites) assert.deepEqual(await site.copies(), [], site.id);
});
