import assert from "node:assert/strict";
import type { ComputeDriver, GuestVolumes, LiveMigration } from "../drivers/compute/driver.ts";
import type { GuestFacts, GuestSpec, GuestVolume, MigrationMode } from "../protocol/compute.ts";
import type { CaseContext, ConformanceHost } from "./compute-environment.ts";
import { type ServedVolume, serialOf, type VolumeStream } from "./compute-volumes.ts";

/** Enough that a guest has been at work for a while. */
export const SOME_BLOCKS = 20;

export async function liveMigrate(c: CaseContext, spec: GuestSpec, mode: MigrationMode): Promise<GuestFacts> {
  const [source, destination] = [live(c.a.driver), live(c.b.driver)];
  const sourceFacts = await c.a.driver.probe();
  await destination.checkDestination(spec, { mode, sourceFacts, diskBytes: 0 }, c.call());
  const target = await destination.prepareIncoming(spec, mode, c.call());
  const options = { target, mode, bandwidthMiBps: 0, downtimeMs: 500, autoConverge: false, postCopy: false };
  await source.migrateOut(spec.serverId, options, c.call());
  return destination.finishIncoming(spec, { paused: false }, c.call());
}

/** A guest that writes to a volume of its own. */
export async function writing(
  c: CaseContext,
): Promise<{ spec: GuestSpec; volume: ServedVolume; stream: VolumeStream }> {
  const volume = await c.volumes.serve();
  const spec = attached(c.spec(), [volume]);
  await c.a.driver.ensure(spec, "running", c.call());
  await sees(c, c.a, spec, [volume]);
  const stream = streamIn(c, c.a, spec, volume);
  await stream.begin();
  return { spec, volume, stream };
}

/** Waits until the guest has written some more; returns how much it has written in all. */
export async function atWork(c: CaseContext, stream: VolumeStream): Promise<number> {
  const before = await stream.written();
  return c.until("more blocks", async () => {
    const done = await stream.written();
    return done >= before + SOME_BLOCKS && done;
  });
}

export function streamIn(
  c: CaseContext,
  host: ConformanceHost,
  spec: GuestSpec,
  { volumeId }: ServedVolume,
): VolumeStream {
  return c.volumes.streams?.in(host.name, spec.serverId, volumeId) ?? assert.fail("volumes hold nothing here");
}

/** A guest that has booted, so that it takes disks and gives them back. */
export async function booted(c: CaseContext): Promise<GuestSpec> {
  const spec = await c.running(c.a);
  await c.tickAbove(c.a, spec, 0);
  return spec;
}

export function ensureVolumes(c: CaseContext, host: ConformanceHost, spec: GuestSpec): Promise<GuestFacts> {
  return c.until("the volumes of the spec", () => volumes(host.driver).ensureVolumes(spec, c.call()));
}

/** The spec with these volumes as `/dev/vdb`, `/dev/vdc`, … */
export function attached(
  spec: GuestSpec,
  served: readonly ServedVolume[],
  changes: Partial<GuestVolume> = {},
): GuestSpec {
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

export function bootingFrom({ volumeId, connection }: ServedVolume, spec: GuestSpec): GuestSpec {
  const root = { volumeId, device: "/dev/vda", connection, readOnly: false, root: true };
  return { ...spec, rootDisk: null, volumes: [root] };
}

/** Waits until the guest sees disks of exactly these volumes, under the names of the spec: there is no gap between them. */
export async function sees(
  c: CaseContext,
  host: ConformanceHost,
  spec: GuestSpec,
  served: readonly ServedVolume[],
): Promise<void> {
  const device = (id: string) => spec.volumes.find((volume) => volume.volumeId === id)?.device;
  const wanted = served.map((one) => `${device(one.volumeId)} ${serialOf(one.volumeId)} ${one.sizeBytes}`).toSorted();
  await c.until(`${served.length} volumes in the guest`, async () => {
    const seen = await c.volumes.disksIn(host.name, spec.serverId);
    const volumes = seen.filter(({ serial }) => /^[0-9a-f]{8}-/.test(serial));
    const found = volumes.map((disk) => `${disk.device} ${disk.serial} ${disk.bytes}`);
    return found.toSorted().join() === wanted.join();
  });
}

export function volumes(driver: ComputeDriver): GuestVolumes {
  return driver.volumes ?? assert.fail("no volumes");
}

export function live(driver: ComputeDriver): LiveMigration {
  return driver.liveMigration ?? assert.fail("no live migration");
}
