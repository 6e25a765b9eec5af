import assert from "node:assert/strict";
import type { MigrationMode } from "../protocol/compute.ts";
import type { ComputeCase } from "./compute-case.ts";
import { type CaseContext, rejectsWith } from "./compute-environment.ts";
import {
  attached,
  atWork,
  bootingFrom,
  ensureVolumes,
  live,
  liveMigrate,
  SOME_BLOCKS,
  sees,
  streamIn,
  volumes,
  writing,
} from "./compute-volume-steps.ts";

/** What guests write to volumes while they move, and while what serves the volumes dies, changes or grows. */
export const volumeDataCases: readonly ComputeCase[] = [
  {
    name: "volumes: only the host where the guest lives changes them",
    ability: "volumes",
    async run(c) {
      const spec = c.spec();
      await rejectsWith(ensureVolumes(c, c.a, spec), "notFound", "compute.guest_not_found");
      await c.a.driver.ensure(spec, "running", c.call());
      await liveMigrate(c, spec, "mirror");
      await rejectsWith(ensureVolumes(c, c.a, spec), "conflict", "compute.guest_moved");
      assert.deepEqual((await ensureVolumes(c, c.b, spec)).volumeIds, []);
    },
  },
  {
    name: "volumes: they move with a live migration whose root disk is mirrored",
    ability: "volumes",
    storage: "local",
    run: (c) => movesWithVolume(c, "mirror"),
  },
  {
    name: "volumes: they move with a live migration whose root disk is shared",
    ability: "volumes",
    storage: "shared",
    run: (c) => movesWithVolume(c, "shared"),
  },
  {
    name: "volumes: a guest without a disk of its host moves as one on shared storage, live and cold",
    ability: "volumes",
    async run(c) {
      const root = await c.volumes.serve({ bootable: true });
      const spec = bootingFrom(root, c.spec());
      await c.a.driver.ensure(spec, "running", c.call());
      const tick = await c.tickAbove(c.a, spec, 0);
      assert.deepEqual(await live(c.a.driver).measureDisk(spec.serverId, c.call()), {
        sizeBytes: 0,
        allocatedBytes: 0,
      });
      await rejectsWith(liveMigrate(c, spec, "mirror"), "conflict", "compute.migration_refused");
      const facts = await liveMigrate(c, spec, "shared");
      assert.deepEqual(facts.volumeIds, [root.volumeId]);
      await c.tickAbove(c.b, spec, tick + 1);
      await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      await c.b.driver.ensureStopped(spec.serverId, { graceMs: 20_000 }, c.call());
      const cold = [c.b, c.a].map((host) => host.driver.coldMigration ?? assert.fail("no cold migration"));
      assert.equal(await cold[0]?.serveDisk(spec.serverId, c.call()), null);
      await cold[1]?.receiveDisk(spec, null, c.call());
      await c.b.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      await c.a.driver.ensure(spec, "running", c.call());
      await c.tickAbove(c.a, spec, tick + 2);
    },
  },
  {
    name: "volumes: what the guest wrote it reads again, after detaching and on another server",
    ability: "volumes",
    data: true,
    async run(c) {
      const { spec, volume, stream } = await writing(c);
      const blocks = await c.until("blocks", async () => {
        const done = await stream.written();
        return done >= SOME_BLOCKS && done;
      });
      await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      const reader = c.spec();
      const plugged = attached(reader, [volume], { readOnly: true });
      await c.b.driver.ensure(plugged, "running", c.call());
      await sees(c, c.b, plugged, [volume]);
      const again = streamIn(c, c.b, reader, volume);
      await again.check(blocks);
      await again.begin();
      await c.until("an error for who writes to a disk to read", () =>
        again.written().then(
          () => false,
          () => true,
        ),
      );
    },
  },
  {
    name: "volumes: a server that dies and comes back is a pause for the guest, never an error",
    ability: "volumes",
    data: true,
    async run(c) {
      const { volume, stream } = await writing(c);
      for (let i = 0; i < 2; i += 1) {
        const before = await atWork(c, stream);
        await volume.kill();
        assert.ok((await stream.written()) >= before);
        await volume.revive();
      }
      await stream.check(await atWork(c, stream));
    },
  },
  {
    name: "volumes: a server that is gone keeps no guest from stopping, and is told where one is needed",
    ability: "volumes",
    data: true,
    async run(c) {
      const { spec, volume, stream } = await writing(c);
      await atWork(c, stream);
      await volume.kill();
      const facts = await c.a.driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      assert.deepEqual([facts.power, facts.volumeIds], ["stopped", [volume.volumeId]]);
      const start = () => c.a.driver.ensure(spec, "running", c.call());
      await rejectsWith(start(), "unavailable", "compute.volume_unreachable");
      const bare = { ...spec, volumes: [] };
      await c.a.driver.ensure(bare, "running", c.call());
      const plug = () => volumes(c.a.driver).ensureVolumes(spec, c.call());
      await rejectsWith(plug(), "unavailable", "compute.volume_unreachable");
      await volume.revive();
      await ensureVolumes(c, c.a, spec);
      await sees(c, c.a, spec, [volume]);
    },
  },
  {
    name: "volumes: a guest that writes is switched to another server and loses nothing",
    ability: "volumes",
    data: true,
    async run(c) {
      const { spec, volume, stream } = await writing(c);
      await atWork(c, stream);
      const connection = await volume.mirror();
      const switched = {
        ...spec,
        volumes: spec.volumes.map((each) => ({ ...each, connection })),
      };
      for (let i = 0; i < 2; i += 1) {
        assert.deepEqual((await ensureVolumes(c, c.a, switched)).volumeIds, [volume.volumeId]);
      }
      await volume.retire();
      await stream.check(await atWork(c, stream));
      await c.a.restart();
      await ensureVolumes(c, c.a, switched);
      await stream.check(await atWork(c, stream));
    },
  },
  {
    name: "volumes: a guest that writes sees its volume grow and loses nothing",
    ability: "volumes",
    data: true,
    async run(c) {
      const { spec, volume, stream } = await writing(c);
      await atWork(c, stream);
      const sizeBytes = await volume.grow();
      const { volumeId } = volume;
      await volumes(c.a.driver).ensureVolumeSize(spec.serverId, { volumeId, sizeBytes }, c.call());
      await stream.check(await atWork(c, stream));
    },
  },
];

/** A guest that writes moves; what it had written before is read after, where it goes on writing. */
async function movesWithVolume(c: CaseContext, mode: MigrationMode): Promise<void> {
  const storage = mode === "shared" ? "shared" : "local";
  const volume = await c.volumes.serve();
  const spec = attached(c.spec({ storage }), [volume]);
  await c.a.driver.ensure(spec, "running", c.call());
  await sees(c, c.a, spec, [volume]);
  const stream = c.volumes.streams?.in(c.a.name, spec.serverId, volume.volumeId);
  await stream?.begin();
  if (stream) await atWork(c, stream);
  const facts = await liveMigrate(c, spec, mode);
  assert.deepEqual(facts.volumeIds, [volume.volumeId]);
  await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
  await sees(c, c.b, spec, [volume]);
  const there = c.volumes.streams?.in(c.b.name, spec.serverId, volume.volumeId);
  if (there) await there.check(await atWork(c, there));
  const bare = { ...spec, volumes: [] };
  assert.deepEqual((await ensureVolumes(c, c.b, bare)).volumeIds, []);
}
