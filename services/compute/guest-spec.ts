import type { GuestSpec, ImageSource } from "../../agent/protocol/compute.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { Queries } from "../../kernel/store/store.ts";
import type { ComputeDependencies } from "./dependencies.ts";
import { flavorOf } from "./store/servers.ts";
import type { FlavorSnapshot, ServerRow } from "./store/tables.ts";

/** The smallest root disk; a flavor with disk 0 means "as large as the image", which the driver rounds up to this. */
const SMALLEST_DISK_GIB = 1;

/** What an agent must know to run the server. `flavor` differs from the server's own while a resize is under way. */
export async function guestSpec(
  q: Queries,
  deps: ComputeDependencies,
  server: ServerRow,
  flavor: FlavorSnapshot = flavorOf(server),
): Promise<GuestSpec> {
  const properties = JSON.parse(server.image_properties) as Record<string, string | undefined>;
  const image = await source(q, deps, server.image_id);
  const kernel = properties.kernel_id ? await source(q, deps, properties.kernel_id) : null;
  const ramdisk = properties.ramdisk_id ? await source(q, deps, properties.ramdisk_id) : null;
  return {
    serverId: server.id,
    instanceName: instanceName(server),
    hostname: server.hostname,
    vcpus: flavor.vcpus,
    ramMiB: flavor.ramMiB,
    rootDisk: { sizeGiB: Math.max(SMALLEST_DISK_GIB, flavor.diskGiB), storage: server.storage, image },
    volumes: [],
    kernel,
    ramdisk,
    nics: await deps.network.nicsOf(q, server.id),
    metadata: JSON.parse(server.metadata) as Record<string, string>,
    userData: server.user_data,
    publicKeys:
      server.key_name !== null && server.public_key !== null ? [{ name: server.key_name, key: server.public_key }] : [],
  };
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
