import { type RawBuilder, sql } from "kysely";
import { atMost } from "../../../kernel/store/at-most.ts";
import { comesAfter, orderBy, type SortKey } from "../../../kernel/store/keyset.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { badImage } from "../domain/faults.ts";
import type { ImageViewer } from "../public.ts";
import type { ImageRow, ImageTables, MemberStatus } from "./tables.ts";

export interface ImageFilters {
  /** Each attribute or property with the values of which it must have one. */
  readonly equals: Readonly<Record<string, readonly string[]>>;
  readonly tags: readonly string[];
  readonly hidden: boolean;
  readonly protected?: boolean;
  readonly sizeMin?: number;
  readonly sizeMax?: number;
  /** `created_at` and `updated_at`, epoch milliseconds. */
  readonly times: readonly { readonly column: "created_at" | "updated_at"; readonly op: TimeOp; readonly at: number }[];
  /** Absent: everything that is the viewer's, public, or shared with and accepted by the viewer. */
  readonly visibility?: "public" | "private" | "shared" | "community" | "all";
  readonly memberStatus: MemberStatus | "all";
}

export type TimeOp = "gt" | "gte" | "eq" | "neq" | "lt" | "lte";

export interface ImageListRequest {
  readonly filters: ImageFilters;
  readonly sort: readonly { readonly key: string; readonly descending: boolean }[];
  readonly limit: number;
  readonly marker: string | undefined;
  readonly viewer: ImageViewer;
}

/** Attributes that lists filter by as text; other names are properties. */
const COLUMNS: Readonly<Record<string, string>> = {
  id: "id",
  name: "name",
  status: "status",
  owner: "owner",
  disk_format: "disk_format",
  container_format: "container_format",
  checksum: "md5",
  os_hash_value: "sha512",
};

const NUMBERS: Readonly<Record<string, string>> = {
  min_disk: "min_disk_gib",
  min_ram: "min_ram_mib",
  size: "size_bytes",
};

const SORTABLE: Readonly<Record<string, RawBuilder<unknown>>> = {
  id: sql.ref("r.id"),
  name: sql`COALESCE(${sql.ref("r.name")}, '')`,
  status: sql.ref("r.status"),
  owner: sql.ref("r.owner"),
  disk_format: sql`COALESCE(${sql.ref("r.disk_format")}, '')`,
  container_format: sql`COALESCE(${sql.ref("r.container_format")}, '')`,
  size: sql`COALESCE(${sql.ref("r.size_bytes")}, 0)`,
  created_at: sql.ref("r.created_at"),
  updated_at: sql.ref("r.updated_at"),
};

const OPERATORS: Readonly<Record<TimeOp, RawBuilder<unknown>>> = {
  gt: sql`>`,
  gte: sql`>=`,
  eq: sql`=`,
  neq: sql`<>`,
  lt: sql`<`,
  lte: sql`<=`,
};

/** One query per page (and one for the marker). Throws `image.invalid` for unknown sort keys and markers. */
export async function listImages(q: Queries, request: ImageListRequest): Promise<ImageRow[]> {
  const keys = sortKeys(request.sort);
  const conditions = [...filterConditions(request.filters), ...visibleConditions(request.filters, request.viewer)];
  if (request.marker !== undefined) conditions.push(comesAfter(keys, await markerValues(q, keys, request.marker)));
  const query = sql<ImageRow>`SELECT r.* FROM images AS r WHERE ${sql.join(conditions, sql` AND `)}
    ORDER BY ${orderBy(keys)} LIMIT ${atMost(request.limit)}`;
  return (await query.execute(q.tables<ImageTables>())).rows;
}

function filterConditions(filters: ImageFilters): RawBuilder<boolean>[] {
  const conditions: RawBuilder<boolean>[] = [sql<boolean>`r.hidden = ${filters.hidden ? 1 : 0}`];
  for (const [name, values] of Object.entries(filters.equals)) conditions.push(oneOf(name, values));
  for (const tag of filters.tags) {
    conditions.push(sql<boolean>`EXISTS (SELECT 1 FROM image_tags t WHERE t.image_id = r.id AND t.tag = ${tag})`);
  }
  for (const { column, op, at } of filters.times) {
    // Clients know times to the second only.
    conditions.push(sql<boolean>`(${sql.ref(`r.${column}`)} / 1000) ${OPERATORS[op]} ${Math.floor(at / 1000)}`);
  }
  if (filters.protected !== undefined) conditions.push(sql<boolean>`r.protected = ${filters.protected ? 1 : 0}`);
  if (filters.sizeMin !== undefined) conditions.push(sql<boolean>`r.size_bytes >= ${filters.sizeMin}`);
  if (filters.sizeMax !== undefined) conditions.push(sql<boolean>`r.size_bytes <= ${filters.sizeMax}`);
  return conditions;
}

function oneOf(name: string, values: readonly string[]): RawBuilder<boolean> {
  if (Object.hasOwn(COLUMNS, name)) return sql<boolean>`${sql.ref(`r.${COLUMNS[name]}`)} IN (${sql.join(values)})`;
  if (Object.hasOwn(NUMBERS, name)) {
    const numbers = values.map(Number);
    if (numbers.some((number) => !Number.isSafeInteger(number))) throw badImage(`'${name}' must be a whole number.`);
    return sql<boolean>`${sql.ref(`r.${NUMBERS[name]}`)} IN (${sql.join(numbers)})`;
  }
  return sql<boolean>`EXISTS (SELECT 1 FROM image_properties p
    WHERE p.image_id = r.id AND p.name = ${name} AND p.value IN (${sql.join(values)}))`;
}

function visibleConditions(filters: ImageFilters, viewer: ImageViewer): RawBuilder<boolean>[] {
  const { visibility } = filters;
  const mine = sql<boolean>`r.owner = ${viewer.projectId ?? ""}`;
  const sharedWithMe = sql<boolean>`(r.visibility = 'shared' AND EXISTS (SELECT 1 FROM image_members m
    WHERE m.image_id = r.id AND m.member_id = ${viewer.projectId ?? ""} ${memberStatus(filters)}))`;
  const is = (wanted: string) => sql<boolean>`r.visibility = ${wanted}`;
  switch (visibility) {
    case "public":
    case "community":
      return [is(visibility)];
    case "private":
      return viewer.isAdmin ? [is("private")] : [is("private"), mine];
    case "shared":
      return viewer.isAdmin ? [is("shared")] : [is("shared"), sql<boolean>`(${mine} OR ${sharedWithMe})`];
    case "all":
      if (viewer.isAdmin) return [];
      return [sql<boolean>`(${mine} OR ${sharedWithMe} OR ${is("public")} OR ${is("community")})`];
    default:
      if (viewer.isAdmin) return [sql<boolean>`(${mine} OR NOT ${is("community")})`];
      return [sql<boolean>`(${mine} OR ${sharedWithMe} OR ${is("public")})`];
  }
}

function memberStatus(filters: ImageFilters): RawBuilder<unknown> {
  return filters.memberStatus === "all" ? sql`` : sql`AND m.status = ${filters.memberStatus}`;
}

function sortKeys(sort: ImageListRequest["sort"]): SortKey[] {
  const keys = sort.map(({ key, descending }) => {
    const by = Object.hasOwn(SORTABLE, key) ? SORTABLE[key] : undefined;
    if (!by) throw badImage(`Invalid sort key: ${key}`);
    return { by, descending };
  });
  return [...keys, { by: sql.ref("r.id"), descending: keys.at(-1)?.descending ?? true }];
}

async function markerValues(q: Queries, keys: readonly SortKey[], marker: string): Promise<unknown[]> {
  const columns = sql.join(keys.map(({ by }, index) => sql`${by} AS ${sql.ref(`k${index}`)}`));
  const query = sql<Record<string, unknown>>`SELECT ${columns} FROM images AS r WHERE r.id = ${marker}`;
  const [row] = (await query.execute(q.tables<ImageTables>())).rows;
  if (!row) throw badImage(`The marker ${marker} could not be found.`);
  return keys.map((_, index) => row[`k${index}`]);
}
