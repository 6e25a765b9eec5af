import type { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { isTrue } from "../../../kernel/http/schemas.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ImageSummary } from "../../image/public.ts";
import { nextDevice, ROOT_DEVICE } from "../domain/block-devices.ts";
import type { BlockDeviceRow, MadeFrom } from "../store/block-device-tables.ts";
import { insertBlockDevice } from "../store/block-devices.ts";
import type { FlavorSnapshot, ServerRow } from "../store/tables.ts";
import { bootableImage, invalid, mustFitFlavor } from "./create-request.ts";
import type { CreateBody } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lastPart } from "./server-filters.ts";

type CreateRequest = ApiRequest<CreateBody>;
type Asked = NonNullable<CreateBody["server"]["block_device_mapping_v2"]>[number];

/** A volume that a new server is to have: one that is there, or one to be made. */
export interface WantedVolume {
  readonly volumeId: string | null;
  readonly from: MadeFrom | null;
  readonly bootIndex: number | null;
  readonly deleteOnTermination: boolean;
  readonly tag: string | null;
}

/** What a new server boots from, and its volumes. */
export interface BootPlan {
  /** Null: it boots from the volume with boot index 0. */
  readonly image: ImageSummary | null;
  /** Of the image, or of the one that the boot volume was made from. */
  readonly properties: Readonly<Record<string, string>>;
  readonly volumes: readonly WantedVolume[];
}

/** Throws 400 for what cannot be booted, or not by this flavor; and for devices that no server can have. */
export async function bootPlan(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  flavor: FlavorSnapshot,
): Promise<BootPlan> {
  const { server } = request.body;
  const asked = askedDevices(server).filter((device) => device.no_device === undefined || device.no_device === null);
  const imageRef = lastPart(server.imageRef ?? "").toLowerCase();
  const [localImage, ...others] = asked.filter((device) => destinationOf(device) === "local");
  if (others.length > 0) throw badMapping("a server has one local disk, which it boots from.");
  const imageId = localImage ? localImageOf(localImage, imageRef) : imageRef;
  const volumes = await Promise.all(
    asked.filter((device) => device !== localImage).map((device) => wantedVolume(q, deps, request, device)),
  );
  mustBeInOrder(volumes, imageId !== "");
  const root = volumes.find((volume) => volume.bootIndex === 0);
  if (root) return { image: null, properties: await bootProperties(q, deps, request, root, flavor), volumes };
  if (imageId === "") throw invalid("image", "Invalid imageRef provided.");
  const image = await bootableImage(q, deps, request, imageId);
  mustFitFlavor(image, flavor, { disk: true });
  return { image, properties: image.properties, volumes };
}

/** Rows of the server's volumes; what is there already is kept for it. */
export async function insertDevices(
  t: Tx,
  deps: Pick<FaceDependencies, "blockStorage" | "kernel">,
  server: ServerRow,
  volumes: readonly WantedVolume[],
): Promise<void> {
  const rows: BlockDeviceRow[] = [];
  for (const { volumeId, from, bootIndex, deleteOnTermination, tag } of volumes) {
    const kept = volumeId === null ? null : await deps.blockStorage.reserve(t, { volumeId, serverId: server.id });
    const row: BlockDeviceRow = {
      id: deps.kernel.ids.uuid(),
      server_id: server.id,
      state: kept ? "reserved" : "wanted",
      volume_id: volumeId,
      attachment_id: kept?.attachmentId ?? null,
      device: bootIndex === 0 ? ROOT_DEVICE : nextDevice(rows),
      boot_index: bootIndex,
      delete_on_termination: deleteOnTermination ? 1 : 0,
      tag,
      made_from: from === null ? null : JSON.stringify(from),
      created_at: server.created_at,
    };
    await insertBlockDevice(t, row);
    rows.push(row);
  }
}

/** Both ways to say it; the older one knows volumes and snapshots only. */
function askedDevices(server: CreateBody["server"]): Asked[] {
  const { block_device_mapping: legacy = [], block_device_mapping_v2: modern = [] } = server;
  if (legacy.length > 0 && modern.length > 0)
    throw badMapping("using different block_device_mapping syntaxes is not allowed in the same request.");
  if (legacy.length === 0) return modern;
  const boots = !server.imageRef;
  return legacy.map((device, index): Asked => {
    const { volume_id, snapshot_id, volume_size, delete_on_termination, no_device } = device;
    const source_type = volume_id ? "volume" : snapshot_id ? "snapshot" : "blank";
    return {
      source_type,
      destination_type: "volume",
      uuid: volume_id ?? snapshot_id ?? null,
      boot_index: boots && index === 0 ? 0 : null,
      ...(volume_size === undefined || volume_size === null || volume_size === "" ? {} : { volume_size }),
      ...(delete_on_termination === undefined || delete_on_termination === null ? {} : { delete_on_termination }),
      ...(no_device === undefined ? {} : { no_device }),
    };
  });
}

function destinationOf({ source_type: source, destination_type: destination }: Asked): "local" | "volume" {
  return destination ?? (source === "volume" || source === "snapshot" ? "volume" : "local");
}

function indexOf(device: Asked): number | null {
  const index = device.boot_index === undefined || device.boot_index === null ? null : Number(device.boot_index);
  return index === null || index < 0 ? null : index;
}

/** Says the same as `imageRef`, of which it must not differ. */
function localImageOf(device: Asked, imageRef: string): string {
  const { source_type: source } = device;
  if (source !== "image") throw badMapping(`mapping ${source ?? "nothing"} to local is not supported.`);
  if (indexOf(device) !== 0) throw badMapping("mapping image to local is not supported.");
  const id = (device.uuid ?? device.image_id ?? imageRef).toLowerCase();
  if (imageRef !== "" && id !== imageRef) throw badMapping("the boot disk's image is not that of imageRef.");
  return id;
}

async function wantedVolume(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  device: Asked,
): Promise<WantedVolume> {
  const common = {
    bootIndex: indexOf(device),
    deleteOnTermination: device.delete_on_termination !== undefined && isTrue(device.delete_on_termination),
    tag: device.tag ?? null,
  };
  const { isAdmin, projectId } = request.context;
  const sizeGiB = device.volume_size === undefined ? null : Number(device.volume_size);
  const made = (source: MadeFrom["source"]): WantedVolume => {
    const from = { source, sizeGiB, type: device.volume_type ?? null, isAdmin };
    return { ...common, volumeId: null, from };
  };
  const id = (device.uuid ?? device.image_id ?? "").toLowerCase();
  if (device.source_type === "blank") {
    if (sizeGiB === null || sizeGiB < 1)
      throw badMapping("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size");
    if (common.bootIndex === 0) throw badMapping("Block Device is not bootable: it is blank.");
    return made({ kind: "blank" });
  }
  if (!isUuidLike(id)) throw badMapping(`${device.source_type ?? "a device"} needs the id of its source.`);
  if (device.source_type === "image") {
    const image = await bootableImage(q, deps, request, id);
    if (sizeGiB === null || sizeGiB < 1)
      throw badMapping("Images with destination_type 'volume' need to have a non-zero size specified");
    if (sizeGiB < image.minDiskGiB)
      throw badMapping(`Volume size ${sizeGiB} GiB is smaller than the minimum of the image, ${image.minDiskGiB} GiB.`);
    return made({ kind: "image", imageId: image.id });
  }
  if (device.source_type === "snapshot") {
    const snapshot = await deps.blockStorage.findSnapshot(q, id);
    if (snapshot?.projectId !== projectId) throw badMapping(`failed to get snapshot ${id}.`);
    if (sizeGiB !== null && sizeGiB < snapshot.sizeGiB)
      throw badMapping(`Volume size ${sizeGiB} GiB is smaller than the snapshot's, ${snapshot.sizeGiB} GiB.`);
    return made({ kind: "snapshot", snapshotId: snapshot.id });
  }
  const volume = await deps.blockStorage.find(q, id);
  if (volume?.projectId !== projectId) throw badMapping(`failed to get volume ${id}.`);
  return { ...common, volumeId: volume.id, from: null };
}

/** Boot indexes are 0, 1, 2 … without gaps or repeats; 0 is the image when there is one. */
function mustBeInOrder(volumes: readonly WantedVolume[], hasImage: boolean): void {
  const indexes = volumes.flatMap(({ bootIndex }) => (bootIndex === null ? [] : [bootIndex]));
  if (hasImage) indexes.push(0);
  const wrong = indexes.toSorted((a, b) => a - b).some((index, place) => index !== place);
  if (wrong || (indexes.length === 0 && volumes.length > 0))
    throw badMapping("Boot sequence for the instance and image/block device mapping combination is not valid.");
  const ids = volumes.flatMap(({ volumeId }) => volumeId ?? []);
  if (new Set(ids).size < ids.length) throw badMapping("a volume is mapped twice.");
}

/** How the boot volume boots. Throws 400 when it does not. */
async function bootProperties(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  { volumeId, from }: WantedVolume,
  flavor: FlavorSnapshot,
): Promise<Readonly<Record<string, string>>> {
  const { source } = from ?? {};
  if (source?.kind === "image") {
    const image = await bootableImage(q, deps, request, source.imageId);
    mustFitFlavor(image, flavor, { disk: false });
    return image.properties;
  }
  const snapshot = source?.kind === "snapshot" ? await deps.blockStorage.findSnapshot(q, source.snapshotId) : undefined;
  const id = volumeId ?? snapshot?.volumeId ?? "";
  const volume = await deps.blockStorage.find(q, id);
  if (!volume?.bootable) throw badMapping(`Block Device ${id} is not bootable.`);
  return volume.imageMetadata;
}

function badMapping(reason: string): CloudError {
  return invalid("block_device", `Block Device Mapping is Invalid: ${reason}`);
}
