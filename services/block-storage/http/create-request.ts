import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion } from "../../../kernel/http/route.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ImageSummary } from "../../image/public.ts";
import { invalidVolume, isMigrating, READABLE } from "../domain/can-volume.ts";
import { listVolumeServices, VOLUME_BINARY } from "../store/services.ts";
import { getSnapshot, snapshotNotFound } from "../store/snapshots.ts";
import type { VolumeTypeRow } from "../store/tables.ts";
import { leastSizeOf, type NewVolumeSource } from "../store/volume-from-source.ts";
import { defaultType, typeById, typeNotFound, usableType } from "../store/volume-types.ts";
import { getVolume } from "../store/volumes.ts";
import { Bool, isTrue } from "./booleans.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { TextOrNull, VolumeMetadata } from "./schemas.ts";
import { viewerOf } from "./type-view.ts";
import { knownVolume, mayKnow } from "./volume-lookup.ts";

const id = Type.Optional(Type.Union([Type.String({ format: "uuid-like" }), Type.Null()]));
const text = Type.Optional(TextOrNull);

const known = {
  size: Type.Optional(Type.Union([Type.Integer(), Type.String({ pattern: "^[0-9]{1,9}$" }), Type.Null()])),
  name: text,
  display_name: text,
  description: text,
  display_description: text,
  volume_type: text,
  availability_zone: text,
  metadata: Type.Optional(Type.Union([VolumeMetadata, Type.Null()])),
  snapshot_id: id,
  source_volid: id,
  consistencygroup_id: id,
  group_id: id,
  backup_id: id,
  imageRef: text,
  image_id: text,
  multiattach: Type.Optional(Type.Union([Bool, Type.Null()])),
};

const Hints = Type.Optional(Type.Union([Type.Object({}), Type.Null()]));
const bodyOf = (strict: boolean) =>
  Type.Object({
    volume: Type.Object(known, { additionalProperties: !strict }),
    "OS-SCH-HNT:scheduler_hints": Hints,
  });
const Body = bodyOf(false);
/** Members that are not known count since 3.53. */
export const createBody = byVersion({ "3.0": Body, "3.53": bodyOf(true) as typeof Body });

type Volume = Type.Static<typeof Body>["volume"];
export type CreateRequest = ApiRequest<Type.Static<typeof Body>>;

/** A request that was found good: what the row will say. */
export interface CreatePlan {
  readonly sizeGiB: number;
  readonly type: VolumeTypeRow;
  readonly zone: string;
  readonly source: NewVolumeSource;
}

/** Throws 400 for what cannot be made, 404 for what the asker cannot name. */
export async function createPlan(q: Queries, deps: FaceDependencies, request: CreateRequest): Promise<CreatePlan> {
  const { volume } = request.body;
  for (const member of ["consistencygroup_id", "group_id", "backup_id"] as const)
    if (volume[member]) throw invalidVolume(`There is no such thing as the given ${member}.`);
  if (volume.multiattach && isTrue(volume.multiattach))
    throw invalidVolume("Volumes that attach several times are made by a type that allows it.");
  const source = await sourceOf(q, deps, request, volume);
  return {
    sizeGiB: sizeOf(volume, source),
    type: await typeOf(q, deps, request, source),
    zone: await zoneOf(q, deps, volume, source),
    source,
  };
}

async function sourceOf(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  asked: Volume,
): Promise<NewVolumeSource> {
  const { snapshot_id: snapshotId, source_volid: volumeId } = asked;
  const imageId = asked.imageRef ?? asked.image_id;
  if ([snapshotId, volumeId, imageId].filter(Boolean).length > 1)
    throw invalidVolume("A volume can be made from a snapshot, a volume or an image, from one of them.");
  const nothing: NewVolumeSource = { snapshot: null, volume: null, image: null };
  if (snapshotId) {
    const snapshot = await getSnapshot(q, snapshotId);
    if (!mayKnow(request, snapshot.project_id)) throw snapshotNotFound(snapshotId);
    if (snapshot.status !== "available") throw invalidVolume(`Snapshot ${snapshotId} is ${snapshot.status}.`);
    return { ...nothing, snapshot, volume: await getVolume(q, snapshot.volume_id) };
  }
  if (volumeId) {
    const volume = await knownVolume(q, request, volumeId);
    if (!READABLE.includes(volume.status)) throw invalidVolume(`Volume ${volumeId} is ${volume.status}.`);
    if (isMigrating(volume)) throw invalidVolume(`Volume ${volumeId} is migrating.`);
    return { ...nothing, volume };
  }
  return imageId ? { ...nothing, image: await imageOf(q, deps, request, imageId) } : nothing;
}

async function imageOf(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  reference: string,
): Promise<ImageSummary> {
  const imageId = reference.split("/").at(-1) ?? "";
  if (!isUuidLike(imageId)) throw invalidVolume("Invalid image identifier or unable to access requested image.");
  const { projectId, isAdmin } = request.context;
  const image = await deps.images.find(q, imageId, { projectId, isAdmin });
  if (!image) throw invalidVolume("Invalid image identifier or unable to access requested image.");
  if (image.status !== "active") throw invalidVolume(`Image ${imageId} is not active.`);
  return image;
}

function sizeOf(asked: Volume, source: NewVolumeSource): number {
  const { snapshot, volume } = source;
  const given = asked.size === undefined || asked.size === null ? undefined : Number(asked.size);
  const size = given ?? snapshot?.size_gib ?? volume?.size_gib;
  if (size === undefined || !Number.isInteger(size) || size < 1 || size > 0x7fff_ffff)
    throw invalidVolume("The size of a volume must be an integer greater than 0.");
  const least = leastSizeOf(source);
  if (size < least) throw invalidVolume(`The volume's size ${size} GiB is smaller than its source's, ${least} GiB.`);
  return size;
}

async function typeOf(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  { volume }: NewVolumeSource,
): Promise<VolumeTypeRow> {
  const named = request.body.volume.volume_type;
  if (named) {
    const type = await usableType(q, viewerOf(request), named);
    if (!type) throw typeNotFound(named);
    return type;
  }
  const inherited = volume ? await typeById(q, volume.type_id) : undefined;
  return inherited ?? (await defaultType(q, deps.settings.defaultVolumeType));
}

async function zoneOf(q: Queries, deps: FaceDependencies, asked: Volume, { volume }: NewVolumeSource): Promise<string> {
  const zone = asked.availability_zone;
  // The data is copied inside one backend.
  if (volume && zone && zone !== volume.zone) throw invalidVolume(`The source is in the zone ${volume.zone}.`);
  if (!zone) return volume?.zone ?? deps.settings.storageAvailabilityZone;
  const services = await listVolumeServices(q, { binary: VOLUME_BINARY });
  if (services.some(({ record }) => record.zone === zone)) return zone;
  throw new CloudError("invalid", "block-storage.invalid_zone", `Availability zone '${zone}' is invalid.`);
}
