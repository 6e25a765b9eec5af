import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import type { VolumeEquals, VolumeFilter } from "../store/volume-lists.ts";
import { listQuery } from "./listing.ts";
import { timeLimits, timeQuery } from "./time-filters.ts";

const text = Type.Optional(Type.String());

/** Every filter, under its name in queries. */
export const volumeQuery = Type.Object({
  ...listQuery,
  ...timeQuery,
  all_tenants: text,
  with_count: text,
  project_id: text,
  tenant_id: text,
  user_id: text,
  id: text,
  name: text,
  display_name: text,
  "name~": text,
  status: text,
  "status~": text,
  description: text,
  display_description: text,
  "description~": text,
  availability_zone: text,
  bootable: text,
  size: text,
  metadata: text,
  glance_metadata: text,
  migration_status: text,
  replication_status: text,
  group_id: text,
  volume_type_id: text,
  snapshot_id: text,
  source_volid: text,
  multiattach: text,
  consumes_quota: text,
  host: text,
  cluster_name: text,
});
type VolumeQuery = Readonly<Record<string, string | number | undefined>>;

/** Query parameters that compare a column as text. */
const EQUAL: Readonly<Record<string, keyof VolumeEquals>> = {
  id: "id",
  name: "name",
  display_name: "name",
  status: "status",
  availability_zone: "zone",
  migration_status: "migration_status",
  replication_status: "replication_status",
  group_id: "group_id",
  volume_type_id: "type_id",
  snapshot_id: "snapshot_id",
  source_volid: "source_volume_id",
};
/** Those only for administrators; from others they are passed over. */
const EQUAL_FOR_ADMINS: Readonly<Record<string, keyof VolumeEquals>> = {
  user_id: "user_id",
  host: "host",
  cluster_name: "cluster_name",
};
const FLAGS: Readonly<Record<string, keyof VolumeEquals>> = {
  bootable: "bootable",
  multiattach: "multiattach",
  consumes_quota: "consumes_quota",
};

/** Whose volumes, and which. Throws 400 for a value that cannot be one. */
export function volumeFilter(
  request: Pick<ApiRequest<unknown, unknown>, "context" | "query" | "version">,
): VolumeFilter {
  const query = request.query as VolumeQuery;
  const { isAdmin, projectId } = request.context;
  const equals: Record<string, unknown> = {};
  const asked = (name: string): string | undefined => {
    const value = query[name];
    return value === undefined ? undefined : String(value);
  };
  const everywhere = isAdmin && flag("all_tenants", asked("all_tenants") ?? "false") === 1;
  const project = everywhere ? (asked("project_id") ?? asked("tenant_id")) : (projectId ?? "");
  if (project !== undefined) equals.project_id = project;
  for (const [name, column] of Object.entries({ ...EQUAL, ...(isAdmin ? EQUAL_FOR_ADMINS : {}) }))
    if (asked(name) !== undefined) equals[column] = asked(name);
  for (const [name, column] of Object.entries(FLAGS)) {
    const value = asked(name);
    if (value !== undefined) equals[column] = flag(name, value);
  }
  const size = asked("size");
  if (size !== undefined) equals.size_gib = whole(size);
  return {
    equals: equals as VolumeEquals,
    like: request.version.atLeast("3.34") ? likeOf(asked) : {},
    metadata: pairs("metadata", asked("metadata")),
    times: timeLimits(request),
    imageMetadata: request.version.atLeast("3.4") ? pairs("glance_metadata", asked("glance_metadata")) : undefined,
  };
}

function likeOf(asked: (name: string) => string | undefined): NonNullable<VolumeFilter["like"]> {
  const like: Record<string, string> = {};
  for (const column of ["name", "status", "description"]) {
    const part = asked(`${column}~`);
    if (part !== undefined) like[column] = part;
  }
  return like;
}

/** 1 or 0, as stored. */
export function flag(name: string, value: string): number {
  const known = looseBoolean(value);
  if (known === undefined) throw invalidFilter(`Invalid value '${value.slice(0, 40)}' for '${name}'.`);
  return known ? 1 : 0;
}

function whole(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw invalidFilter(`Invalid size '${value.slice(0, 40)}'.`);
  return Number(value);
}

/** Clients write a dictionary in the manner of Python: `{'key': 'value'}`. */
export function pairs(name: string, value: string | undefined): Record<string, string> | undefined {
  if (value === undefined) return undefined;
  const found = [...value.matchAll(/u?["']([^"']{1,255})["']\s*:\s*u?["']([^"']{0,255})["']/g)];
  if (found.length === 0 && !/^\s*\{\s*\}\s*$/.test(value)) throw invalidFilter(`The filter ${name} is no dictionary.`);
  return Object.fromEntries(found.map(([, key = "", text = ""]) => [key, text]));
}

function invalidFilter(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_filter", message);
}
