import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { PolicyTarget } from "../../../kernel/policy/credentials.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { imageNotFound } from "../domain/faults.ts";
import type { ImageViewer } from "../public.ts";
import { type FullImage, findVisibleImage, isMember } from "../store/images.ts";

export function viewerOf(request: ApiRequest): ImageViewer {
  return { projectId: request.context.projectId, isAdmin: request.context.isAdmin };
}

/** What rules may ask of an image. `member_id` is the caller's project when the image is shared with it. */
export function targetOf(image: FullImage, memberId: string | null): PolicyTarget {
  const { row } = image;
  return {
    ...image.properties,
    project_id: row.owner,
    owner: row.owner,
    visibility: row.visibility,
    member_id: memberId,
    is_public: row.visibility === "public",
    protected: row.protected === 1,
  };
}

/** The image of the path, if the caller may see it (404 else), after asking `rule` about it. */
export async function findFor(q: Queries, request: ApiRequest, rule: string): Promise<FullImage> {
  const id = request.param("id");
  const viewer = viewerOf(request);
  const image = await findVisibleImage(q, id, viewer);
  if (!image) throw imageNotFound(id);
  const { projectId } = viewer;
  const member = projectId !== null && image.row.visibility === "shared" && (await isMember(q, id, projectId));
  request.authorize(rule, targetOf(image, member ? projectId : null));
  return image;
}
