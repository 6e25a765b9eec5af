import type { ApiRequest } from "../../../kernel/http/request.ts";
import { extraSpecsOf } from "../store/find-type.ts";
import type { VolumeTypeRow } from "../store/tables.ts";
import type { TypeViewer } from "../store/volume-types.ts";

/** Rules that decide what of a type is seen. */
export const TYPE_VIEW_RULES = [
  "volume_extension:access_types_extra_specs",
  "volume_extension:access_types_qos_specs_id",
  "volume_extension:types_extra_specs:read_sensitive",
  "volume_extension:volume_type_access",
] as const;

/** Specs that say what users can do with a volume; the others tell how the cloud is built. */
const USER_VISIBLE = ["RESKEY:availability_zones", "multiattach", "replication_enabled"];

type Asking = Pick<ApiRequest, "context" | "check">;
export type Specs = Readonly<Record<string, string>>;

export function viewerOf({ context }: Pick<ApiRequest, "context">): TypeViewer {
  return { projectId: context.projectId, isAdmin: context.isAdmin };
}

/** What rules about types look at: they belong to nobody, so it is whoever asks. */
export function ownTarget({ context }: Pick<ApiRequest, "context">) {
  return { project_id: context.projectId };
}

export function visibleSpecs(request: Asking, row: VolumeTypeRow): Specs {
  const specs = extraSpecsOf(row);
  if (request.check("volume_extension:types_extra_specs:read_sensitive", ownTarget(request))) return specs;
  return Object.fromEntries(Object.entries(specs).filter(([key]) => USER_VISIBLE.includes(key)));
}

export function typeView(request: Asking, row: VolumeTypeRow): Record<string, unknown> {
  const target = ownTarget(request);
  const isPublic = row.is_public === 1;
  const view: Record<string, unknown> = {
    id: row.id,
    name: row.name,
    is_public: isPublic,
    description: row.description,
  };
  if (request.check("volume_extension:access_types_extra_specs", target)) view.extra_specs = visibleSpecs(request, row);
  if (request.check("volume_extension:access_types_qos_specs_id", target)) view.qos_specs_id = row.qos_specs_id;
  if (request.check("volume_extension:volume_type_access", target)) view["os-volume-type-access:is_public"] = isPublic;
  return view;
}
