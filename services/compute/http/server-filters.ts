import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion } from "../../../kernel/http/route.ts";
import { DateTime, looseBoolean, parseDateTime } from "../../../kernel/http/schemas.ts";
import { likeOf } from "../domain/name-pattern.ts";
import {
  type PowerState,
  pairsOfStatus,
  type StatePair,
  type TaskState,
  type VmState,
} from "../domain/server-state.ts";
import {
  SERVER_SORT_KEYS,
  type ServerEquals,
  type ServerFilter,
  type ServerSort,
  type ServerSortKey,
} from "../store/server-lists.ts";

const Text = Type.Optional(Type.String({ maxLength: 255 }));
const SORT_KEYS = Object.keys(SERVER_SORT_KEYS);

/** Known to the API, looked at by nobody here. */
const IGNORED = {
  kernel_id: Text,
  ramdisk_id: Text,
  root_device_name: Text,
  launched_at: Text,
  terminated_at: Text,
  created_at: Text,
  auto_disk_config: Text,
  progress: Text,
  soft_deleted: Text,
  locked_by: Text,
  block_device_mapping: Text,
  services: Text,
  metadata: Text,
  system_metadata: Text,
  security_groups: Text,
  info_cache: Text,
  fault: Text,
  flavor_id: Text,
};

const BASE = {
  ...pageQuery,
  ...IGNORED,
  user_id: Text,
  project_id: Text,
  tenant_id: Text,
  launch_index: Text,
  image_ref: Text,
  image: Text,
  hostname: Text,
  key_name: Text,
  power_state: Text,
  vm_state: Text,
  task_state: Text,
  host: Text,
  node: Text,
  flavor: Text,
  reservation_id: Text,
  availability_zone: Text,
  name: Text,
  display_name: Text,
  description: Text,
  uuid: Text,
  config_drive: Text,
  access_ip_v4: Text,
  access_ip_v6: Text,
  ip: Text,
  ip6: Text,
  all_tenants: Text,
  deleted: Text,
  status: Type.Optional(Type.Array(Type.String({ maxLength: 255 }))),
  "changes-since": Type.Optional(DateTime),
  sort_key: Type.Optional(Type.Array(Type.Enum(SORT_KEYS as [string, ...string[]]))),
  sort_dir: Type.Optional(Type.Array(Type.Enum(["asc", "desc"]))),
};
const TAGS = { tags: Text, "tags-any": Text, "not-tags": Text, "not-tags-any": Text };
const BEFORE = { "changes-before": Type.Optional(DateTime) };
const LOCKED = { locked: Text };

const Newest = Type.Object({ ...BASE, ...TAGS, ...BEFORE, ...LOCKED });
export type ServerQuery = Static<typeof Newest>;

export const serverQuery = byVersion<typeof Newest>({
  "2.1": Type.Object(BASE) as typeof Newest,
  "2.26": Type.Object({ ...BASE, ...TAGS }) as typeof Newest,
  "2.66": Type.Object({ ...BASE, ...TAGS, ...BEFORE }) as typeof Newest,
  "2.73": Newest,
});

/** Filters that everybody may use; others are dropped silently unless the policy allows all. */
const OPEN: readonly (keyof ServerQuery)[] = [
  "reservation_id",
  "name",
  "status",
  "image",
  "flavor",
  "ip",
  "ip6",
  "changes-since",
  "changes-before",
  "all_tenants",
  "tags",
  "tags-any",
  "not-tags",
  "not-tags-any",
  "locked",
];
const OPEN_SINCE_2_83: readonly (keyof ServerQuery)[] = [
  "availability_zone",
  "config_drive",
  "key_name",
  "power_state",
  "task_state",
  "vm_state",
  "user_id",
];
const ALWAYS: readonly (keyof ServerQuery)[] = ["limit", "marker", "sort_key", "sort_dir"];
const ONLY_ADMIN_SORTS: readonly string[] = ["host", "node"];

type ListRequest = ApiRequest<unknown, ServerQuery>;

export interface ServerListing {
  readonly filter: ServerFilter;
  readonly sort: readonly ServerSort[];
  /** LIKE pattern of addresses. */
  readonly addressLike: string | undefined;
}

/** What a list request asks for, by who asks. Throws 400 and 403. */
export function listingOf(request: ListRequest, kind: "index" | "detail"): ServerListing {
  const { isAdmin, projectId } = request.context;
  const query = allowed(request, request.check("os_compute_api:servers:allow_all_filters"));
  const allTenants = query.all_tenants !== undefined && readBoolean("all_tenants", query.all_tenants || "true");
  if (allTenants) request.authorize(`os_compute_api:servers:${kind}:get_all_tenants`);
  const project = allTenants ? (query.project_id ?? query.tenant_id) : (projectId ?? "");
  const changedSince = timeOf(query["changes-since"]);
  const changedBefore = timeOf(query["changes-before"]);
  if (changedSince !== undefined && changedBefore !== undefined && changedSince > changedBefore) {
    throw invalid("The value of changes-since must be less than or equal to changes-before.");
  }
  const wantsDeleted = query.deleted === undefined ? undefined : readBoolean("deleted", query.deleted);
  const { states, deleted } = statesOf(request, query, isAdmin);
  const changed = changedSince !== undefined || changedBefore !== undefined;
  return {
    filter: {
      equals: equalsOf(query, project),
      flavorId: query.flavor === undefined ? undefined : lastPart(query.flavor),
      nameLike: likeOrNothing(query.name ?? query.display_name),
      states,
      tags: listOf(query.tags),
      tagsAny: listOf(query["tags-any"]),
      notTags: listOf(query["not-tags"]),
      notTagsAny: listOf(query["not-tags-any"]),
      deleted: deleted || wantsDeleted ? "only" : changed && wantsDeleted === undefined ? "both" : "no",
      changedSince,
      changedBefore,
    },
    sort: sortOf(query, isAdmin),
    addressLike: likeOrNothing(query.ip ?? query.ip6),
  };
}

function allowed(request: ListRequest, everything: boolean): ServerQuery {
  if (everything) return request.query;
  const names = [...ALWAYS, ...OPEN, ...(request.version.atLeast("2.83") ? OPEN_SINCE_2_83 : [])];
  return Object.fromEntries(
    Object.entries(request.query).filter(([name]) => names.includes(name as keyof ServerQuery)),
  );
}

function equalsOf(query: ServerQuery, project: string | undefined): ServerEquals {
  const text: readonly (readonly [keyof ServerEquals, string | undefined])[] = [
    ["project_id", project],
    ["user_id", query.user_id],
    ["host", query.host ?? query.node],
    ["image_id", lastPart(query.image ?? query.image_ref)],
    ["key_name", query.key_name],
    ["vm_state", query.vm_state as VmState | undefined],
    ["task_state", query.task_state as TaskState | undefined],
    ["reservation_id", query.reservation_id],
    ["zone", query.availability_zone],
    ["hostname", query.hostname],
    ["description", query.description],
    ["id", query.uuid],
    ["access_ipv4", query.access_ip_v4],
    ["access_ipv6", query.access_ip_v6],
  ];
  const equals: ServerEquals = Object.fromEntries(text.filter(([, value]) => value !== undefined));
  return {
    ...equals,
    ...(query.power_state === undefined
      ? {}
      : { power_state: readNumber("power_state", query.power_state) as PowerState }),
    ...(query.launch_index === undefined ? {} : { launch_index: readNumber("launch_index", query.launch_index) }),
    ...(query.locked === undefined ? {} : { locked: Number(readBoolean("locked", query.locked)) }),
    ...(query.config_drive === undefined
      ? {}
      : { config_drive: Number(readBoolean("config_drive", query.config_drive)) }),
  };
}

function statesOf(
  request: ListRequest,
  query: ServerQuery,
  isAdmin: boolean,
): { states: readonly StatePair[] | undefined; deleted: boolean } {
  if (!query.status || query.status.length === 0) return { states: undefined, deleted: query.vm_state === "deleted" };
  const states: StatePair[] = [];
  for (const status of query.status) {
    const pairs = pairsOfStatus(status);
    if (!pairs && request.version.atLeast("2.38")) throw invalid(`Invalid status value: ${status}`);
    states.push(...(pairs ?? []));
  }
  const deleted = query.status.some((status) => status.toUpperCase() === "DELETED");
  if (deleted && !isAdmin) {
    throw new CloudError("forbidden", "compute.list_deleted", "Only administrators may list deleted instances");
  }
  return { states, deleted };
}

function sortOf(query: ServerQuery, isAdmin: boolean): ServerSort[] {
  const keys = query.sort_key ?? [];
  const refused = isAdmin ? undefined : keys.find((key) => ONLY_ADMIN_SORTS.includes(key));
  if (refused !== undefined) {
    throw new CloudError("forbidden", "compute.sort_key", `Only administrators can sort servers by ${refused}`);
  }
  return keys.map((key, i) => ({ key: key as ServerSortKey, descending: query.sort_dir?.[i] !== "asc" }));
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDateTime(text);
}

function likeOrNothing(expression: string | undefined): string | undefined {
  return expression === undefined || expression === "" ? undefined : likeOf(expression);
}

function listOf(text: string | undefined): string[] | undefined {
  return text === undefined || text === "" ? undefined : text.split(",");
}

/** The id of a reference that may be a URL. */
export function lastPart(reference: string): string;
export function lastPart(reference: string | undefined): string | undefined;
export function lastPart(reference: string | undefined): string | undefined {
  return reference === undefined ? undefined : reference.replace(/\/+$/, "").split("/").at(-1);
}

function readBoolean(name: string, text: string): boolean {
  const value = looseBoolean(text);
  if (value === undefined) throw invalid(`Invalid value '${text}' for ${name}: not a boolean.`);
  return value;
}

function readNumber(name: string, text: string): number {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw invalid(`Invalid value '${text}' for ${name}: not a number.`);
}

function invalid(message: string): CloudError {
  return new CloudError("invalid", "compute.query", message);
}
