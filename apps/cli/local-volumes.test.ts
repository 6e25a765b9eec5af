import assert from "node:assert/strict";
import { access, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readVolumeBackends } from "../agent/volume-backends.ts";
import { stopServingVolumes, volumeFlags } from "./local-volumes.ts";

test("local hosts get backends once, with room that stays, and a folder for sockets that is theirs alone", async () => {
  const dir = await mkdtemp(join(tmpdir(), "pileus-local-"));
  try {
    const [backends = "", file = "", sockets = "", runDir = ""] = await volumeFlags(dir);
    assert.deepEqual([backends, sockets], ["--volume-backends", "--volume-sockets"]);
    const seen = async (host: string) =>
      (await readVolumeBackends(file, host)).map(({ name, cluster, replicationTargets = [] }) => [
        ...[name, cluster],
        ...replicationTargets.map(({ id }) => id),
      ]);
    for (const host of ["host-1", "host-2"]) assert.deepEqual(await seen(host), [["shared", "pileus@shared"]]);
    assert.deepEqual(await seen("host-3"), [["replicated", undefined, "second"]]);
    assert.deepEqual(await seen("host-4"), []);
    assert.equal((await stat(file)).mode & 0o077, 0);
    assert.equal((await stat(runDir)).mode & 0o077, 0);
    // Room for `/<uuid>.<tag>-<generation>.nbd` in the address of a unix socket.
    assert.ok(runDir.length <= 52, runDir);

    const edited = (await readFile(file, "utf8")).replace(/"capacityGiB": \d+/, '"capacityGiB": 7');
    await writeFile(file, edited);
    assert.deepEqual(await volumeFlags(dir), [backends, file, sockets, runDir]);
    assert.equal(await readFile(file, "utf8"), edited, "what an administrator has written stays");

    await stopServingVolumes(dir);
    await assert.rejects(access(runDir));
    await stopServingVolumes(dir);
  } finally {
    await stopServingVolumes(dir);
    await rm(dir, { recursive: true });
  }
});

test("a cloud that never had volumes has nothing to stop", async () => {
  const dir = await mkdtemp(join(tmpdir(), "pileus-local-"));
  await stopServingVolumes(dir);
  await rm(dir, { recursive: true });
});
