import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { VolumeRow } from "../store/tables.ts";
import { attachmentsByVolume, findListedVolume, type ListedVolume } from "../store/volume-lists.ts";
import { volumeNotFound } from "../store/volumes.ts";
import { type AskingVolume, type VolumeView, type VolumeVisibility, visibilityOf, volumeView } from "./volume-view.ts";

type Asking = Pick<ApiRequest, "context" | "param">;

/** What rules about a volume look at. */
export function ruleTarget({ project_id, user_id }: Pick<VolumeRow, "project_id" | "user_id">) {
  return { project_id, user_id };
}

/** Others' volumes are as good as absent, except for administrators. */
export function mayKnow({ context }: Pick<ApiRequest, "context">, projectId: string): boolean {
  return context.isAdmin || context.projectId === projectId;
}

/** The volume that the path names. Throws 404, before any rule is asked, for what the asker may not know. */
export async function volumeOf(q: Queries, request: Asking): Promise<ListedVolume> {
  return await knownVolume(q, request, request.param("id"));
}

export async function knownVolume(q: Queries, request: Pick<ApiRequest, "context">, id: string): Promise<ListedVolume> {
  const row = await findListedVolume(q, id);
  if (!row || !mayKnow(request, row.project_id)) throw volumeNotFound(id);
  return row;
}

export async function fullView(
  q: Queries,
  request: AskingVolume,
  volume: ListedVolume,
  sees: VolumeVisibility = visibilityOf(request, volume),
): Promise<VolumeView> {
  const attachments = await attachmentsByVolume(q, [volume]);
  return volumeView(request, volume, attachments.get(volume.id) ?? [], sees);
}
