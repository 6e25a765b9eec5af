import assert from "node:assert/strict";
import { Value } from "typebox/value";
import { GuestFacts } from "../protocol/compute.ts";
import type { ComputeCase } from "./compute-case.ts";
import { rejectsWith } from "./compute-environment.ts";
import { attached, booted, bootingFrom, ensureVolumes, sees, volumes } from "./compute-volume-steps.ts";
import { serialOf } from "./compute-volumes.ts";

/** Volumes as disks of guests that stay where they are. */
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
    name: "volumes: a guest that boots while it is asked gives its disk back when it can",
    ability: "volumes",
    async run(c) {
      const volume = await c.volumes.serve();
      const bare = c.spec();
      const plugged = attached(bare, [volume]);
      await c.a.driver.ensure(plugged, "running", c.call());
      assert.deepEqual((await ensureVolumes(c, c.a, bare)).volumeIds, []);
      await c.a.driver.reboot(bare.serverId, { type: "hard", graceMs: 0 }, c.call());
      assert.equal((await ensureVolumes(c, c.a, plugged)).volumeIds.length, 1);
      await sees(c, c.a, plugged, [volume]);
    },
  },
  {
    name: "volumes: a paused guest keeps its disks until it runs again",
    ability: "volumes",
    async run(c) {
      const spec = await booted(c);
      const [one, two] = [await c.volumes.serve(), await c.volumes.serve()];
      await ensureVolumes(c, c.a, attached(spec, [one]));
      await c.a.driver.ensurePaused(spec.serverId, c.call());
      const both = attached(spec, [one, two]);
      assert.equal((await ensureVolumes(c, c.a, both)).volumeIds.length, 2);
      const take = () => volumes(c.a.driver).ensureVolumes(spec, c.call());
      await rejectsWith(take(), "unavailable", "compute.volume_busy");
      await c.a.driver.ensureUnpaused(spec.serverId, c.call());
      assert.deepEqual((await ensureVolumes(c, c.a, spec)).volumeIds, []);
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
];
