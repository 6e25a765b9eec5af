import { rename } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { VolumeSpec } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import {
  checkImage,
  copySparse,
  createWhole,
  exists,
  GIB,
  growTo,
  type ImageFile,
  sizeOf,
  tooSmall,
  writeImage,
} from "./disk-files.ts";
import { requireNotFrozen, reserve } from "./pool.ts";
import type { CopyRecord } from "./records.ts";
import { requireRemovable } from "./removals.ts";
import { makeEqual, replicates } from "./replica.ts";
import { isServable } from "./serving.ts";
import type { Site } from "./site.ts";
import { copyNow, snapshotSite } from "./snapshots.ts";

export function newRecord(wanted: Pick<VolumeSpec, "volumeId" | "sizeGiB" | "replicated">): CopyRecord {
  const { volumeId, sizeGiB, replicated } = wanted;
  return {
    volumeId,
    sizeGiB,
    state: "creating",
    replicated,
    exported: false,
    generation: 1,
    role: "main",
    trust: { kind: "stale" },
    secondMayBeClean: false,
    daemon: null,
    copy: null,
    adoptedFrom: null,
  };
}

/** Promises the space and puts the volume on record in its arrays, the second copy's first: see `failback`. */
export async function ensureRecorded(
  array: StorageArray,
  record: CopyRecord,
  signal: AbortSignal,
): Promise<VolumeCopies> {
  const found = await array.find(record.volumeId);
  if (found && found.main.record.state !== "removing") return found;
  await (await array.activeSite()).requireReachable();
  await requireNotFrozen(array);
  if (!(await replicates(array))) throw failedOver();
  const [target] = array.targets;
  if (record.replicated && !target) {
    throw new CloudError("invalid", "storage.not_supported", "The backend has no replication target.");
  }
  await array.own.requireReachable();
  if (record.replicated) await target?.requireReachable();
  await removeRemains(array, record.volumeId, found);
  await reserve(array, array.own, record.sizeGiB, signal, async () => {
    if (record.replicated && target) await target.writeCopy({ ...record, role: "replica" });
    await array.own.writeCopy(record);
  });
  return array.required(record.volumeId);
}

/** Makes a new volume with its content; an existing one is left alone. */
export async function ensureVolume(array: StorageArray, spec: VolumeSpec, call: Call): Promise<VolumeCopies> {
  const image = await imageOf(spec, call);
  const known = await array.find(spec.volumeId);
  if (!known || known.main.record.state === "removing") await checkSource(array, spec, image);
  const volume = await ensureRecorded(array, newRecord(spec), call.signal);
  if (volume.main.record.state !== "creating") {
    // One that has a second copy comes along with the failover, or is told of by it.
    if (!volume.replica) await requireNotLeftBehind(array, volume);
    return volume;
  }
  const disk = volume.main.site.disk(spec.volumeId);
  if (!(await exists(disk))) {
    await createWhole(disk, array.options.ids, async (partial) => {
      await fill(array, spec, image, partial, call);
      await growTo(partial, volume.main.record.sizeGiB * GIB);
    });
  }
  await finishMaking(array, volume, call.signal);
  // A failover that begins from here on sees it.
  await requireNotLeftBehind(array, volume);
  return volume;
}

/** With all copies equal: from here on the volume exists. Throws `storage.failed_over` when nobody could use it. */
export async function finishMaking(array: StorageArray, volume: VolumeCopies, signal: AbortSignal): Promise<void> {
  await makeEqual(array, volume, signal);
  await requireNotLeftBehind(array, volume);
  if (volume.replica) await array.update(volume.replica, { state: "ready" });
  await array.update(volume.main, { state: "ready" });
}

/** The backend may have failed over while the volume was made where it served from before. */
async function requireNotLeftBehind(array: StorageArray, { main }: VolumeCopies): Promise<void> {
  if (!(await isServable(array, main))) throw failedOver();
}

function failedOver(): CloudError {
  return new CloudError("conflict", "storage.failed_over", "The backend has failed over and makes no volumes.");
}

/** Throws `storage.array_unreachable`, before anything is changed, while a copy of it may be where nobody can see it. */
export async function removeVolume(array: StorageArray, volumeId: string): Promise<void> {
  const what = { kind: "volume", id: volumeId } as const;
  const copies = await copiesOf(array, volumeId);
  await requireRemovable(array, what, { replicated: copies.some(({ record }) => record.replicated) });
  for (const copy of copies) await putBack(copy);
  for (const copy of copies) await array.update(copy, { state: "removing", exported: false });
  // The one where the backend serves from goes last: it is there for the next try to see, whichever other array is away by then.
  const active = await array.activeSite();
  const left = await foldersOf(array, volumeId);
  for (const site of left.toSorted((a, b) => Number(a === active) - Number(b === active)))
    await removeCopy(array, site, volumeId);
}

/** Data that was to become a volume and has not is its owner's: it goes back under the name that it had. */
export async function putBack({ site, record }: Copy): Promise<void> {
  const { volumeId, adoptedFrom, state } = record;
  if (adoptedFrom === null || state !== "creating" || record.role !== "main") return;
  if (!(await exists(site.disk(volumeId)))) return;
  const taken = await exists(site.importFile(adoptedFrom));
  await rename(site.disk(volumeId), site.importFile(taken ? referenceOf(volumeId) : adoptedFrom));
}

/** Under which the data of a volume that was let go is found. */
export const referenceOf = (volumeId: string): string => `${volumeId}.raw`;

/**
 * What a removal that was cut short has left, its data maybe without its record: another volume of the same id must not begin with
 * it. Not the copy of a volume whose first one is not seen: throws `storage.exists_differently`.
 */
async function removeRemains(array: StorageArray, volumeId: string, found: VolumeCopies | undefined): Promise<void> {
  const copies = await copiesOf(array, volumeId);
  if (!found && copies.some(({ record }) => record.state === "ready" || record.state === "receiving")) {
    throw new CloudError("conflict", "storage.exists_differently", "The backend has a copy of such a volume already.");
  }
  for (const site of await foldersOf(array, volumeId)) await removeCopy(array, site, volumeId);
  for (const target of array.targets) await target.forgetRemoved({ kind: "volume", id: volumeId });
}

async function removeCopy(array: StorageArray, site: Site, volumeId: string): Promise<void> {
  await array.pointNowhere(site, volumeId);
  await array.killDaemons(site, volumeId);
  await site.removeVolume(volumeId);
}

/** Where anything of the volume is, with or without its record: a removal that was cut short may have left the rest of a folder. */
async function foldersOf(array: StorageArray, volumeId: string): Promise<Site[]> {
  const there = await Promise.all(array.sites.map((site) => exists(site.volumeDir(volumeId))));
  return array.sites.filter((_, i) => there[i]);
}

async function copiesOf(array: StorageArray, volumeId: string): Promise<Copy[]> {
  const found = await Promise.all(array.sites.map(async (site) => ({ site, record: await site.copy(volumeId) })));
  return found.flatMap(({ site, record }) => (record ? [{ site, record }] : []));
}

async function imageOf({ source }: VolumeSpec, call: Call): Promise<ImageFile | undefined> {
  if (source.kind !== "image") return undefined;
  const { format } = source.image;
  if (format !== "raw" && format !== "qcow2") {
    throw new CloudError("invalid", "storage.image_unsafe", "A volume cannot be made of such an image.");
  }
  return { path: await call.image(source.image), format };
}

/** Before anything is promised. */
async function checkSource(array: StorageArray, spec: VolumeSpec, image: ImageFile | undefined): Promise<void> {
  const { source } = spec;
  const bytes = spec.sizeGiB * GIB;
  if (image) await checkImage(image, bytes);
  if (source.kind === "snapshot") {
    const site = await snapshotSite(array, source.snapshotId);
    if ((await sizeOf(site.snapshotDisk(source.snapshotId))) > bytes) throw tooSmall("The snapshot is larger.");
  }
  if (source.kind === "volume") {
    const { main } = await array.required(source.volumeId);
    if (main.record.state !== "ready")
      throw new CloudError("conflict", "storage.volume_in_use", "The source is not ready.");
    if ((await sizeOf(main.site.disk(source.volumeId))) > bytes) throw tooSmall("The source volume is larger.");
  }
}

async function fill(
  array: StorageArray,
  { source }: VolumeSpec,
  image: ImageFile | undefined,
  partial: string,
  call: Call,
): Promise<void> {
  if (image) await writeImage(image, partial, call.signal, call.progress);
  else if (source.kind === "snapshot") {
    const site = await snapshotSite(array, source.snapshotId);
    await copySparse(site.snapshotDisk(source.snapshotId), partial, call.signal);
  } else if (source.kind === "volume") {
    await copyNow(array, await array.required(source.volumeId), partial, call);
  }
}
