import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { newVolumeRow } from "../store/new-volume.ts";
import type { VolumeRow } from "../store/tables.ts";
import { checkVolumeSize, demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { insertVolume } from "../store/volumes.ts";
import { type CreatePlan, type CreateRequest, createBody, createPlan } from "./create-request.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { plainVisibility, volumeView } from "./volume-view.ts";

const CREATE = "volume:create";
const FROM_IMAGE = "volume:create_from_image";

/** `POST /volumes` */
export function volumeCreateRoute(deps: FaceDependencies): Route {
  const { store, operations } = deps.kernel;
  return route({
    name: "volumes.create",
    method: "POST",
    path: "/volumes",
    policy: [CREATE, FROM_IMAGE],
    success: 202,
    body: createBody,
    async handler(request) {
      const { projectId, userId } = request.context;
      const target = { project_id: projectId, user_id: userId };
      request.authorize(CREATE, target);
      if (projectId === null)
        throw new CloudError("forbidden", "block-storage.no_project", "The token has no project.");
      if (request.body.volume.imageRef) request.authorize(FROM_IMAGE, target);
      const plan = await createPlan(store.read, deps, request);
      await checkVolumeSize(store.read, projectId, plan.sizeGiB);
      const row = newRow(deps, request, plan, projectId);
      await store.tx(async (t) => {
        await reserveQuota(t, projectId, demandOf("volumes", plan.type.name, plan.sizeGiB));
        await insertVolume(t, row);
        await operations.start(t, deps.operations.createVolume, {
          input: { volumeId: row.id },
          resourceId: row.id,
          projectId,
          userId,
          requestId: request.requestId,
        });
      });
      const listed = { ...row, type_name: plan.type.name };
      return { body: { volume: volumeView(request, listed, [], plainVisibility(request)) } };
    },
  });
}

function newRow(
  deps: FaceDependencies,
  request: CreateRequest,
  { sizeGiB, type, zone, source }: CreatePlan,
  projectId: string,
): VolumeRow {
  const { clock, ids } = deps.kernel;
  const asked = request.body.volume;
  const { snapshot, volume, image } = source;
  const fromVolume = volume !== null && snapshot === null;
  const { userId: user_id } = request.context;
  const made = { id: ids.uuid(), project_id: projectId, user_id, type_id: type.id, zone, created_at: clock.now() };
  return {
    ...newVolumeRow(made),
    name: (asked.name ?? asked.display_name)?.trim() ?? null,
    description: (asked.description ?? asked.display_description)?.trim() ?? null,
    size_gib: sizeGiB,
    bootable: volume?.bootable ?? 0,
    snapshot_id: snapshot?.id ?? null,
    source_volume_id: fromVolume ? volume.id : null,
    image_id: image?.id ?? null,
    metadata: JSON.stringify(asked.metadata ?? {}),
    image_metadata: image ? JSON.stringify(imageMetadata(image)) : (volume?.image_metadata ?? null),
  };
}

/** What is kept of an image with the volume, so that it boots as the image would. */
function imageMetadata(image: NonNullable<CreatePlan["source"]["image"]>): Record<string, string> {
  const facts: Record<string, string | number | null> = {
    ...image.properties,
    image_id: image.id,
    image_name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    min_disk: image.minDiskGiB,
    min_ram: image.minRamMiB,
    size: image.sizeBytes,
  };
  const kept = Object.entries(facts).filter(([, value]) => value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, String(value)]));
}
