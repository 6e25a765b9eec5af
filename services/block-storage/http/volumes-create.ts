import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { VolumeRow } from "../store/tables.ts";
import { rowFromSource } from "../store/volume-from-source.ts";
import { checkVolumeSize, demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { lockType, typeNotFound } from "../store/volume-types.ts";
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
        if (!(await lockType(t, plan.type.id))) throw typeNotFound(plan.type.id);
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

function newRow(deps: FaceDependencies, request: CreateRequest, plan: CreatePlan, projectId: string): VolumeRow {
  const asked = request.body.volume;
  return rowFromSource(deps.kernel, {
    ...plan,
    projectId,
    userId: request.context.userId,
    name: (asked.name ?? asked.display_name)?.trim() ?? null,
    description: (asked.description ?? asked.display_description)?.trim() ?? null,
    metadata: asked.metadata ?? {},
  });
}
