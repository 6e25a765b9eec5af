import assert from "node:assert/strict";
import { Value } from "typebox/value";
import type { ComputeDriver, GuestVolumes, LiveMigration } from "../drivers/compute/driver.ts";
import { GuestFacts, type GuestSpec, type GuestVolume, type MigrationMode } from "../protocol/compute.ts";
import type { ComputeCase } from "./compute-case.ts";
import { type CaseContext, type ConformanceHost, rejectsWith } from "./compute-environment.ts";
import { type ServedVolume, serialOf, type VolumeStream } from "./compute-volumes.ts";

/** Enough that a guest has been at work for a while. */
const SOME_BLOCKS = 20;

/** Volumes as disks of guests. */
export const volumeCases: readonly ComputeCase[] = [
  {
    name: "volumes: the running guest gets a disk, and gives it back",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      const [one, two] = [await c.volumes.serve(), await c.volumes.serve()];
      const plugged = attached(spec, [one, two]);
      for (let i = 0; i < 2; i += 1) {
        const facts = await ensureVolumes(c, c.a, plugged);
        assert.ok(Value.Check(GuestFacts, facts));
        assert.deepEqual(facts.volumeIds.toSorted(), [one.volumeId, two.volumeId].toSorted());
      }
      await sees(c, c.a, plugged, [one, two]);
      const half = attached(spec, [one]);
      for (let i = 0; i < 2; i += 1) {
        assert.deepEqual((await ensureVolumes(c, c.a, half)).volumeIds, [one.volumeId]);
      }
      await sees(c, c.a, half, [one]);
      // What the guest has let go of, nobody holds: it can be served and attached again.
      await two.kill();
      await two.revive();
      await ensureVolumes(c, c.a, plugged);
      await sees(c, c.a, plugged, [one, two]);
      assert.deepEqual((await ensureVolumes(c, c.a, spec)).volumeIds, []);
    },
  },
  {
    name: "volumes: a stopped guest has them from its next start on",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      const volume = await c.volumes.serve();
      const plugged = attached(spec, [volume]);
      assert.deepEqual((await ensureVolumes(c, c.a, plugged)).volumeIds, [volume.volumeId]);
      await c.a.driver.ensure(plugged, "running", c.call());
      await sees(c, c.a, plugged, [volume]);
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      assert.deepEqual((await ensureVolumes(c, c.a, spec)).volumeIds, []);
      await c.a.driver.ensure(spec, "running", c.call());
      await sees(c, c.a, spec, []);
    },
  },
  {
    name: "volumes: ensure brings a running guest to those of its spec",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      const volume = await c.volumes.serve();
      const plugged = attached(spec, [volume]);
      assert.deepEqual((await c.a.driver.ensure(plugged, "running", c.call())).volumeIds, [volume.volumeId]);
      await c.a.driver.reboot(spec.serverId, { type: "hard", graceMs: 0 }, c.call());
      await sees(c, c.a, plugged, [volume]);
      assert.equal((await c.a.driver.ensure(spec, "running", c.call())).volumeIds.length, 0);
    },
  },
  {
    name: "volumes: a guest boots from its root volume, and has it wherever it starts",
    ability: "volumes",
    async run(c) {
      const root = await c.volumes.serve({ bootable: true });
      const spec = bootingFrom(root, c.spec());
      const facts = await c.a.driver.ensure(spec, "running", c.call());
      assert.ok(Value.Check(GuestFacts, facts));
      assert.deepEqual([facts.diskStorage, facts.volumeIds], [null, [root.volumeId]]);
      const tick = await c.tickAbove(c.a, spec, 3);
      const more = await c.volumes.serve();
      const plugged = { ...spec, volumes: [...spec.volumes, ...attached(spec, [more]).volumes] };
      await ensureVolumes(c, c.a, plugged);
      await sees(c, c.a, plugged, [root, more]);
      // The disk that it boots from stays as long as it runs, whatever the spec says.
      assert.deepEqual((await ensureVolumes(c, c.a, { ...spec, volumes: [] })).volumeIds, [root.volumeId]);
      await ensureVolumes(c, c.a, spec);
      // The guest writes its ticks to its root disk, and is given the time to.
      await c.tickAbove(c.a, spec, tick + 60);
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 20_000 }, c.call());
      await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      await c.b.driver.ensure(spec, "running", c.call());
      await c.tickAbove(c.b, spec, tick + 1);
    },
  },
  {
    name: "volumes: a new instance adopts guests with their volumes",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      const [one, two] = [await c.volumes.serve(), await c.volumes.serve()];
      const plugged = attached(spec, [one]);
      await ensureVolumes(c, c.a, plugged);
      await c.a.restart();
      assert.deepEqual((await c.a.driver.inspect(spec.serverId))?.volumeIds, [one.volumeId]);
      const both = attached(spec, [one, two]);
      await ensureVolumes(c, c.a, both);
      await sees(c, c.a, both, [one, two]);
      await c.a.restart();
      assert.deepEqual((await ensureVolumes(c, c.a, spec)).volumeIds, []);
    },
  },
  {
    name: "volumes: the running guest sees the size of a volume that has grown",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      const volume = await c.volumes.serve();
      const plugged = attached(spec, [volume]);
      await ensureVolumes(c, c.a, plugged);
      await sees(c, c.a, plugged, [volume]);
      const sizeBytes = await volume.grow();
      const { volumeId } = volume;
      for (let i = 0; i < 2; i += 1) {
        await volumes(c.a.driver).ensureVolumeSize(spec.serverId, { volumeId, sizeBytes }, c.call());
      }
      await c.until("the new size in the guest", async () => {
        const seen = await c.volumes.disksIn(c.a.name, spec.serverId);
        return seen.find((disk) => disk.serial === serialOf(volumeId))?.bytes === sizeBytes;
      });
      await ensureVolumes(c, c.a, spec);
      await volumes(c.a.driver).ensureVolumeSize(spec.serverId, { volumeId, sizeBytes }, c.call());
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      await volumes(c.a.driver).ensureVolumeSize(spec.serverId, { volumeId, sizeBytes }, c.call());
    },
  },
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

async function liveMigrate(c: CaseContext, spec: GuestSpec, mode: MigrationMode): Promise<GuestFacts> {
  const [source, destination] = [live(c.a.driver), live(c.b.driver)];
  const sourceFacts = await c.a.driver.probe();
  await destination.checkDestination(spec, { mode, sourceFacts, diskBytes: 0 }, c.call());
  const target = await destination.prepareIncoming(spec, mode, c.call());
  const options = { target, mode, bandwidthMiBps: 0, downtimeMs: 500, autoConverge: false, postCopy: false };
  await source.migrateOut(spec.serverId, options, c.call());
  return destination.finishIncoming(spec, { paused: false }, c.call());
}

/** A guest that writes to a volume of its own. */
async function writing(c: CaseContext): Promise<{ spec: GuestSpec; volume: ServedVolume; stream: VolumeStream }> {
  const volume = await c.volumes.serve();
  const spec = attached(c.spec(), [volume]);
  await c.a.driver.ensure(spec, "running", c.call());
  await sees(c, c.a, spec, [volume]);
  const stream = streamIn(c, c.a, spec, volume);
  await stream.begin();
  return { spec, volume, stream };
}

/** Waits until the guest has written some more; returns how much it has written in all. */
async function atWork(c: CaseContext, stream: VolumeStream): Promise<number> {
  const before = await stream.written();
  return c.until("more blocks", async () => {
    const done = await stream.written();
    return done >= before + SOME_BLOCKS && done;
  });
}

function streamIn(c: CaseContext, host: ConformanceHost, spec: GuestSpec, { volumeId }: ServedVolume): VolumeStream {
  return c.volumes.streams?.in(host.name, spec.serverId, volumeId) ?? assert.fail("volumes hold nothing here");
}

/** A guest that has booted, so that it takes disks and gives them back. */
async function booted(c: CaseContext): Promise<GuestSpec> {
  const spec = await c.running(c.a);
  await c.tickAbove(c.a, spec, 0);
  return spec;
}

function ensureVolumes(c: CaseContext, host: ConformanceHost, spec: GuestSpec): Promise<GuestFacts> {
  return c.until("the volumes of the spec", () => volumes(host.driver).ensureVolumes(spec, c.call()));
}

/** The spec with these volumes as `/dev/vdb`, `/dev/vdc`, … */
function attached(spec: GuestSpec, served: readonly ServedVolume[], changes: Partial<GuestVolume> = {}): GuestSpec {
  return {
    ...spec,
    volumes: served.map(({ volumeId, connection }, index) => ({
      volumeId,
      device: `/dev/vd${String.fromCharCode("b".charCodeAt(0) + index)}`,
      connection,
      readOnly: false,
      root: false,
      ...changes,
    })),
  };
}

function bootingFrom({ volumeId, connection }: ServedVolume, spec: GuestSpec): GuestSpec {
  const root = { volumeId, device: "/dev/vda", connection, readOnly: false, root: true };
  return { ...spec, rootDisk: null, volumes: [root] };
}

/** Waits until the guest sees disks of exactly these volumes. */
async function sees(
  c: CaseContext,
  host: ConformanceHost,
  spec: GuestSpec,
  served: readonly ServedVolume[],
): Promise<void> {
  const wanted = served.map(({ volumeId, sizeBytes }) => `${serialOf(volumeId)} ${sizeBytes}`).toSorted();
  await c.until(`${served.length} volumes in the guest`, async () => {
    const seen = await c.volumes.disksIn(host.name, spec.serverId);
    const found = seen.map(({ serial, bytes }) => `${serial} ${bytes}`).filter((disk) => /^[0-9a-f]{8}-/.test(disk));
    return found.toSorted().join() === wanted.join();
  });
}

function volumes(driver: ComputeDriver): GuestVolumes {
  return driver.volumes ?? assert.fail("no volumes");
}

function live(driver: ComputeDriver): LiveMigration {
  return driver.liveMigration ?? assert.fail("no live migration");
}
