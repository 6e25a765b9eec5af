import assert from "node:assert/strict";
import { test } from "node:test";
import { Value } from "typebox/value";
import { systemClock } from "../../kernel/clock/clock.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import { createSimBlockStorageDriver } from "../drivers/block-storage/sim/sim-block-storage-driver.ts";
import { SimStorageWorld } from "../drivers/block-storage/sim/sim-storage-world.ts";
import { BackendFacts, blockStorageVerbs, VolumeFacts } from "../protocol/block-storage.ts";
import { blockStorageService } from "./block-storage-service.ts";
import type { Call } from "./call.ts";

const call: Call = {
  key: "test",
  epoch: 1,
  deadline: new Date(0),
  signal: new AbortController().signal,
  log: silentLogger,
  progress: () => {},
  image: () => Promise.reject(new Error("no images")),
};

function twoBackends() {
  const world = new SimStorageWorld({ clock: systemClock });
  const one = world.addBackend("h", { backend: "one", cluster: "pileus@one", replicationTargets: ["second"] });
  const two = world.addBackend("h", { backend: "two" });
  const drivers = [one, two].map((pool) => createSimBlockStorageDriver({ world, host: "h", pool }));
  return blockStorageService(drivers.map((driver, i) => ({ driver, ...(i === 1 ? { zone: "east" } : {}) })));
}

test("a service record for each backend, with facts, cluster and zone", async () => {
  const provided = await twoBackends().provided();
  assert.deepEqual(
    provided.map(({ binary, backend, cluster, zone }) => [binary, backend, cluster, zone]),
    [
      ["cinder-volume", "one", "pileus@one", undefined],
      ["cinder-volume", "two", null, "east"],
    ],
  );
  for (const { facts } of provided) assert.ok(Value.Check(BackendFacts, facts));
});

test("verbs reach the backend that the input names; the inventory tells of all", async () => {
  const service = twoBackends();
  assert.deepEqual([...service.verbs.keys()].toSorted(), Object.keys(blockStorageVerbs).toSorted());
  const run = (verb: string, input: object) => service.verbs.get(verb)?.run(input, call);
  const spec = { volumeId: systemIds.uuid(), sizeGiB: 1, source: { kind: "empty" }, replicated: false };
  assert.ok(Value.Check(VolumeFacts, await run("volume.ensure", { backend: "two", spec })));
  const found = (await service.inventory()) as VolumeFacts[];
  assert.deepEqual(
    found.map(({ backend, volumeId }) => [backend, volumeId]),
    [["two", spec.volumeId]],
  );
  const elsewhere = await run("volume.inspect", { backend: "one", volumeId: spec.volumeId });
  assert.deepEqual(elsewhere, { volume: null });
});

test("a backend or an ability that is not there is refused", async () => {
  const { verbs } = twoBackends();
  const stats = verbs.get("backend.stats")?.run({ backend: "three" }, call);
  await assert.rejects(stats ?? Promise.resolve(), { code: "storage.no_backend" });
  const failover = verbs.get("backend.failover")?.run({ backend: "two", targetId: null }, call);
  await assert.rejects(failover ?? Promise.resolve(), { code: "storage.not_supported" });
});
