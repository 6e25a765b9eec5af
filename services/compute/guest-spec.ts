import type { GuestSpec, GuestVolume, ImageSource } from "../../agent/protocol/compute.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { Queries } from "../../kernel/store/store.ts";
import type { ComputeDependencies } from "./dependencies.ts";
import { isInGuest } from "./domain/block-devices.ts";
import { blockDevicesOf } from "./store/block-devices.ts";
import { flavorOf } from "./store/servers.ts";
import type { FlavorSnapshot, ServerRow } from "./store/tables.ts";

/** The smallest root disk; a flavor with disk 0 means "as large as the image", which the driver rounds up to this. */
const SMALLEST_DISK_GIB = 1;

/** A volume that the guest is about to get or to lose, whatever its device says so far. */
export interface VolumeChange {
  readonly volumeId: string;
  readonly has: boolean;
}

/** What an agent must know to run the server. `flavor` differs from the server's own while a resize is under way. */
export async function guestSpec(
  q: Queries,
  deps: ComputeDependencies,
  server: ServerRow,
  flavor: FlavorSnapshot = flavorOf(server),
  change: VolumeChange | null = null,
): Promise<GuestSpec> {
  const properties = JSON.parse(server.image_properties) as Record<string, string | undefined>;
  const kernel = properties.kernel_id ? await source(q, deps, properties.kernel_id) : null;
  const ramdisk = properties.ramdisk_id ? await source(q, deps, properties.ramdisk_id) : null;
  return {
    serverId: server.id,
    instanceName: instanceName(server),
    hostname: server.hostname,
    vcpus: flavor.vcpus,
    ramMiB: flavor.ramMiB,
    rootDisk: await rootDisk(q, deps, server, flavor),
    volumes: await volumesOf(q, deps, server.id, change),
    kernel,
    ramdisk,
    nics: await deps.network.nicsOf(q, server.id),
    metadata: JSON.parse(server.metadata) as Record<string, string>,
    userData: server.user_data,
    publicKeys:
      server.key_name !== null && server.public_key !== null ? [{ name: server.key_name, key: server.public_key }] : [],
  };
}

async function rootDisk(
  q: Queries,
  deps: ComputeDependencies,
  { storage, image_id }: ServerRow,
  flavor: FlavorSnapshot,
): Promise<GuestSpec["rootDisk"]> {
  if (storage === "volume") return null;
  return { sizeGiB: Math.max(SMALLEST_DISK_GIB, flavor.diskGiB), storage, image: await source(q, deps, image_id) };
}

/** A volume whose attachment an administrator has reset is no longer the server's to open. */
async function volumesOf(
  q: Queries,
  deps: ComputeDependencies,
  serverId: string,
  change: VolumeChange | null,
): Promise<GuestVolume[]> {
  const devices = await blockDevicesOf(q, serverId);
  if (devices.length === 0) return [];
  const attachments = await deps.blockStorage.attachmentsOfServer(q, serverId);
  return devices.flatMap((row): GuestVolume[] => {
    const has = row.volume_id === change?.volumeId ? change?.has : isInGuest(row);
    const found = attachments.get(row.volume_id ?? "");
    if (!has || !found?.connection) return [];
    const { volumeId, connection, readOnly } = found;
    return [{ volumeId, device: row.device, connection, readOnly, root: row.boot_index === 0 }];
  });
}

/** `instance-0000002a` */
export function instanceName(server: Pick<ServerRow, "number">): string {
  return `instance-${server.number.toString(16).padStart(8, "0")}`;
}

async function source(q: Queries, deps: ComputeDependencies, imageId: string): Promise<ImageSource> {
  const found = await deps.images.imageSource(q, imageId);
  if (!found) throw new CloudError("notFound", "compute.image_gone", `Image ${imageId} could not be found.`);
  return found;
}
