import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConformanceBackend, StorageContext } from "../../../conformance/block-storage-environment.ts";
import type { VolumeStream } from "../../../conformance/compute-volumes.ts";
import type { GuestVolume } from "../../../protocol/compute.ts";
import { storageLab, whyNoStorage } from "../../block-storage/file-nbd/testing/storage-lab.ts";
import { Lab, whyNoQemu } from "./testing/lab.ts";
import { ServedVolumes } from "./testing/served-volumes.ts";

const skip = (await whyNoQemu()) ?? (await whyNoStorage()) ?? false;
const BLOCKS = 20;

/** The two drivers together: what a backend promises its clients is enough for a guest's disk. */
test("a guest writes on while its volume fails over, fails back and moves to another backend", { skip }, async () => {
  const storage = await storageLab();
  const lab = await Lab.open("user", ["one"]);
  const guests = new ServedVolumes(lab);
  const c = new StorageContext(storage);
  try {
    const { a, other } = storage;
    const [replicated, plain] = [await c.volume({ replicated: true }), await c.volume()];
    const volumes = [await served(c, a, replicated, "/dev/vdb"), await served(c, a, plain, "/dev/vdc")];
    const spec = await lab.spec("local", { volumes });
    await lab.driver("one").ensure(spec, "running", lab.call());
    const seen = await guests.disksIn("one", spec.serverId);
    for (const { device } of volumes) {
      assert.ok(
        seen.some((disk) => disk.device === device && disk.bytes === 1024 ** 3),
        `${device} in the guest`,
      );
    }
    const streams = volumes.map(({ volumeId }) => guests.streams.in("one", spec.serverId, volumeId));
    const [stays, moves] = streams as [VolumeStream, VolumeStream];
    for (const stream of streams) await stream.begin();
    for (const stream of streams) await atWork(lab, stream);

    await move(c, a, other, plain);
    assert.deepEqual(await served(c, other, plain, "/dev/vdc"), volumes[1], "where the guest looks for it");
    await moves.check(await atWork(lab, moves));

    for (const target of ["second", "default"]) {
      if (target === "second") await storage.killArray("default");
      const outcome = await replication(a).failover(target, c.call());
      const [moved] = outcome.volumes.filter(({ volumeId }) => volumeId === replicated);
      assert.deepEqual([moved?.ok, moved?.connection], [true, volumes[0]?.connection]);
      await stays.check(await atWork(lab, stays));
    }
    await moves.check(await atWork(lab, moves));

    await lab.driver("one").ensureAbsent(spec.serverId, { disks: true }, lab.call());
    await c.cleanUp();
  } finally {
    await lab.close();
    await storage.dispose();
  }
});

async function served(
  c: StorageContext,
  { driver }: ConformanceBackend,
  volumeId: string,
  device: string,
): Promise<GuestVolume> {
  const { connection } = await driver.ensureExported(volumeId, c.call());
  assert.ok(connection);
  return { volumeId, device, connection, readOnly: false, root: false };
}

async function move(
  c: StorageContext,
  from: ConformanceBackend,
  to: ConformanceBackend,
  volumeId: string,
): Promise<void> {
  const [source, destination] = [from, to].map(({ driver }) => driver.migration ?? assert.fail("no migration"));
  assert.ok(source && destination);
  const { target } = await destination.receive({ volumeId, sizeGiB: 1, replicated: false }, c.call());
  await source.copyOut(volumeId, target, c.call());
  await source.finishCopy(volumeId, { target, compare: true }, c.call());
}

/** Waits until the guest has written some more; returns how much in all. */
async function atWork(lab: Lab, stream: VolumeStream): Promise<number> {
  const before = await stream.written();
  let now = before;
  await lab.until("the guest writes", async () => {
    now = await stream.written();
    return now >= before + BLOCKS;
  });
  return now;
}

function replication({ driver }: ConformanceBackend) {
  return driver.replication ?? assert.fail("no replication");
}
