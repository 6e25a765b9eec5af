import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { isTrue } from "../../../kernel/http/schemas.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ImageSummary } from "../../image/public.ts";
import type { RequestedNic } from "../../network/public.ts";
import { findFlavor, mayUseFlavor, snapshotOf } from "../store/flavors.ts";
import { listZones } from "../store/host-lists.ts";
import { findHost } from "../store/hosts.ts";
import { findKeypair } from "../store/keypairs.ts";
import type { FlavorSnapshot } from "../store/tables.ts";
import type { CreateBody } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lastPart } from "./server-filters.ts";

type CreateRequest = ApiRequest<CreateBody>;
type WantedServer = CreateBody["server"];

/** Where an administrator wants the server. */
export interface Placement {
  readonly zone: string | null;
  readonly host: string | null;
  /** The scheduler is not asked. */
  readonly force: boolean;
}

/** The flavor of a reference (id or URL). Throws 400. */
export async function wantedFlavor(
  q: Queries,
  request: ApiRequest,
  reference: string | number,
): Promise<FlavorSnapshot> {
  const id = lastPart(String(reference));
  const flavor = await findFlavor(q, id);
  const { isAdmin, projectId } = request.context;
  if (!flavor || flavor.disabled === 1 || !(isAdmin || (await mayUseFlavor(q, flavor, projectId)))) {
    throw invalid("flavor", `Flavor ${id} could not be found.`);
  }
  return snapshotOf(flavor);
}

/** An image that something can be booted from. Throws 400. */
export async function bootableImage(
  q: Queries,
  deps: FaceDependencies,
  request: CreateRequest,
  id: string,
): Promise<ImageSummary> {
  if (!isUuidLike(id)) throw invalid("image", `Invalid imageRef provided: ${id.slice(0, 80)}`);
  const { projectId, isAdmin } = request.context;
  const image = await deps.images.find(q, id, { projectId, isAdmin });
  if (!image) throw invalid("image", `Image ${id} could not be found.`);
  if (image.status !== "active") throw invalid("image", `Image ${id} is not active.`);
  return image;
}

/** Throws 400 when the flavor is too small for the image; its disk counts for a server that has one. */
export function mustFitFlavor(image: ImageSummary, flavor: FlavorSnapshot, { disk }: { disk: boolean }): void {
  if (image.minRamMiB > flavor.ramMiB) throw invalid("flavor", "Flavor's memory is too small for requested image.");
  if (!disk || flavor.diskGiB === 0) return;
  const needed = Math.max(image.minDiskGiB * GIB, image.virtualSizeBytes ?? image.sizeBytes ?? 0);
  if (needed > flavor.diskGiB * GIB) throw invalid("flavor", "Flavor's disk is too small for requested image.");
}

const GIB = 1024 ** 3;

/** The cards that are wanted. `auto` where nothing is said, as far as there is a network to choose. */
export function wantedNics(server: WantedServer): readonly RequestedNic[] | "auto" | "none" {
  const { networks } = server;
  if (networks === undefined) return "auto";
  if (networks === "auto" || networks === "none") return networks;
  if (!Array.isArray(networks) || networks.length === 0) return "auto";
  return networks.map((each) => {
    const tag = each.tag === undefined ? {} : { tag: each.tag };
    if (each.port !== undefined && each.port !== null) {
      if (each.fixed_ip !== undefined) throw invalid("network", "Specified fixed IP address for an existing port.");
      return { portId: each.port, ...tag };
    }
    if (each.uuid === undefined) throw invalid("network", "A requested network needs a network or a port.");
    return { networkId: each.uuid, ...(each.fixed_ip === undefined ? {} : { fixedIp: each.fixed_ip }), ...tag };
  });
}

/** Zone and host. Throws 400 for what does not exist and 403 for who may not choose. */
export async function wantedPlacement(q: Queries, deps: FaceDependencies, request: CreateRequest): Promise<Placement> {
  const { server } = request.body;
  const target = { project_id: request.context.projectId };
  const destination = server.host ?? server.hypervisor_hostname;
  if (destination !== undefined) {
    request.authorize("compute:servers:create:requested_destination", target);
    await mustBeHost(q, destination);
    if (
      server.host !== undefined &&
      server.hypervisor_hostname !== undefined &&
      server.host !== server.hypervisor_hostname
    ) {
      throw invalid("host", `No compute host ${server.host} with hypervisor ${server.hypervisor_hostname} was found.`);
    }
  }
  const [zone = "", host = "", node = ""] = (server.availability_zone ?? "").split(":");
  const forced = host || node;
  if (forced !== "") {
    request.authorize("os_compute_api:servers:create:forced_host", target);
    if (destination !== undefined) throw invalid("host", "A host was requested twice, in different ways.");
    await mustBeHost(q, forced);
    return { zone: null, host: forced, force: true };
  }
  if (zone !== "" && zone !== deps.settings.defaultAvailabilityZone && !(await listZones(q)).includes(zone)) {
    throw invalid("zone", "The requested availability zone is not available");
  }
  return { zone: zone === "" ? null : zone, host: destination ?? null, force: false };
}

async function mustBeHost(q: Queries, host: string): Promise<void> {
  if (!(await findHost(q, host))) throw invalid("host", `Compute host ${host} could not be found.`);
}

export async function wantedKey(q: Queries, request: CreateRequest): Promise<string | null> {
  const name = request.body.server.key_name;
  if (name === undefined) return null;
  const keypair = await findKeypair(q, request.context.userId, name);
  if (!keypair) throw invalid("keypair", "Invalid key_name provided.");
  return keypair.public_key;
}

export interface Count {
  readonly least: number;
  readonly most: number;
}

export function wantedCount(server: WantedServer): Count {
  const least = Number(server.min_count ?? 1);
  const most = Number(server.max_count ?? least);
  if (least > most) throw invalid("count", "min_count must be <= max_count");
  return { least, most: Math.min(most, MOST_AT_ONCE) };
}

/** Servers of one request; more are refused by quota long before. */
const MOST_AT_ONCE = 1000;

export function wantedConfigDrive(server: WantedServer): boolean {
  return server.config_drive !== undefined && server.config_drive !== "" && isTrue(server.config_drive);
}

export function invalid(what: string, message: string): CloudError {
  return new CloudError("invalid", `compute.invalid_${what}`, message);
}
