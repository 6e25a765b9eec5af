import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from "kysely";
import { atMost } from "../../../kernel/store/at-most.ts";
import { isAmong } from "../../../kernel/store/is-among.ts";
import { prepared, preparedPer } from "../../../kernel/store/prepared.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { StatePair } from "../domain/server-state.ts";
import type { ComputeTables, ServerRow } from "./tables.ts";

/** Columns that lists can be sorted by, under the names of the API. */
export const SERVER_SORT_KEYS = {
  created_at: "created_at",
  updated_at: "updated_at",
  launched_at: "launched_at",
  terminated_at: "deleted_at",
  display_name: "name",
  uuid: "id",
  host: "host",
  hostname: "hostname",
  node: "host",
  project_id: "project_id",
  user_id: "user_id",
  vm_state: "vm_state",
  task_state: "task_state",
  power_state: "power_state",
  key_name: "key_name",
  availability_zone: "zone",
  image_ref: "image_id",
  instance_type_id: "flavor",
  launch_index: "launch_index",
  config_drive: "config_drive",
  locked: "locked",
} as const;
export type ServerSortKey = keyof typeof SERVER_SORT_KEYS;

export interface ServerSort {
  readonly key: ServerSortKey;
  readonly descending: boolean;
}

/** What of servers must be equal. */
export type ServerEquals = Partial<
  Pick<
    ServerRow,
    | "project_id"
    | "user_id"
    | "host"
    | "image_id"
    | "key_name"
    | "vm_state"
    | "task_state"
    | "power_state"
    | "reservation_id"
    | "zone"
    | "hostname"
    | "description"
    | "id"
    | "launch_index"
    | "locked"
    | "config_drive"
    | "access_ipv4"
    | "access_ipv6"
  >
>;

export interface ServerFilter {
  readonly equals: ServerEquals;
  readonly flavorId?: string | undefined;
  /** A LIKE pattern of lower case (`likeOf`). */
  readonly nameLike?: string | undefined;
  /** Undefined: any. */
  readonly states?: readonly StatePair[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly tagsAny?: readonly string[] | undefined;
  readonly notTags?: readonly string[] | undefined;
  readonly notTagsAny?: readonly string[] | undefined;
  readonly ids?: readonly string[] | undefined;
  /** `both` for lists of what changed since a time. */
  readonly deleted: "no" | "only" | "both";
  /** Epoch milliseconds, inclusive. */
  readonly changedSince?: number | undefined;
  readonly changedBefore?: number | undefined;
}

export interface ServerPage {
  readonly limit: number;
  readonly marker: Marker | undefined;
  readonly sort: readonly ServerSort[];
}

/** The row behind which a page begins. */
export type Marker = Pick<ServerRow, SortColumn>;

/** What lists read of servers. Reading whole rows would be the larger part of a list's cost. */
const READ = {
  stamp: ["id", "revision"],
  head: ["id", "revision", "project_id", "user_id", "host", "task_state"],
} as const;
type ReadKind = keyof typeof READ;

/** Tells whether what was made of a row is still current. */
export type ServerStamp = Pick<ServerRow, (typeof READ.stamp)[number]>;
/** As a stamp, with what leads to the facts of other tables. */
export type ServerHead = Pick<ServerRow, (typeof READ.head)[number]>;

type Db = Kysely<ComputeTables>;
type Builder = ExpressionBuilder<ComputeTables, "servers">;

/** One page of servers; newest first unless sorted otherwise. */
export async function listServers(q: Queries, filter: ServerFilter, page: ServerPage): Promise<ServerHead[]> {
  return (await readPage(q, "head", filter, page)) as ServerHead[];
}

/** As `listServers`, with less of each. */
export async function listServerStamps(q: Queries, filter: ServerFilter, page: ServerPage): Promise<ServerStamp[]> {
  return await readPage(q, "stamp", filter, page);
}

async function readPage(q: Queries, read: ReadKind, filter: ServerFilter, page: ServerPage): Promise<ServerStamp[]> {
  if (page.limit === 0 || filter.states?.length === 0 || filter.ids?.length === 0) return [];
  if (!isPlain(filter, page)) return await pageQuery(q.tables<ComputeTables>(), read, filter, page).execute();
  const { equals } = filter;
  const columns = PLAIN.filter((column) => equals[column] !== undefined);
  const { created_at = 0, id = "" } = page.marker ?? {};
  const parts: PlainPart[] = page.marker ? [read, ...columns, "after"] : [read, ...columns];
  return await plainPage(parts).all(q, { ...equals, limit: page.limit, after_time: created_at, after_id: id });
}

function pageQuery(db: Db, read: ReadKind, filter: ServerFilter, { limit, marker, sort }: ServerPage) {
  const order = orderOf(sort);
  let query = db
    .selectFrom("servers")
    .select(READ[read])
    .where((eb) => eb.and(conditions(eb, filter)))
    .limit(atMost(limit));
  for (const { column, descending } of order) query = query.orderBy(sortable(column), descending ? "desc" : "asc");
  return marker ? query.where((eb) => after(eb, order, marker)) : query;
}

const PLAIN = ["project_id", "host"] as const;
type PlainPart = ReadKind | (typeof PLAIN)[number] | "after";

/** The lists that clients poll: those of a project, of a host, or all, newest first. */
function isPlain({ equals, deleted, ...others }: ServerFilter, page: ServerPage): boolean {
  const { project_id, host, ...otherEquals } = equals;
  const unwanted = [...Object.values(otherEquals), ...Object.values(others)];
  return deleted === "no" && page.sort.length === 0 && host !== null && unwanted.every((value) => value === undefined);
}

const plainPage = preparedPer((parts: readonly PlainPart[]) =>
  prepared((db: Db, p: ServerEquals & { limit: number; after_time: number; after_id: string }) => {
    const columns = PLAIN.filter((column) => parts.includes(column));
    const equals = Object.fromEntries(columns.map((column) => [column, p[column]]));
    const marker = parts.includes("after") ? ({ created_at: p.after_time, id: p.after_id } as Marker) : undefined;
    const read = parts.includes("head") ? "head" : "stamp";
    return pageQuery(db, read, { equals, deleted: "no" }, { limit: p.limit, marker, sort: [] });
  }),
);

const whole = prepared((db: Db, p: { ids: string }, dialect) =>
  db
    .selectFrom("servers")
    .selectAll()
    .where(isAmong(dialect, "id", p.ids)),
);

/** The whole rows of some servers, in no order, also of deleted ones. */
export async function wholeServers(q: Queries, ids: readonly string[]): Promise<ServerRow[]> {
  return ids.length === 0 ? [] : await whole.all(q, { ids: JSON.stringify(ids) });
}

/** The server that a marker names, also when it is deleted by now. */
export async function findServerEvenDeleted(q: Queries, id: string): Promise<ServerRow | undefined> {
  return (await wholeServers(q, [id]))[0];
}

function conditions(eb: Builder, filter: ServerFilter): Expression<SqlBool>[] {
  const all: Expression<SqlBool>[] = [];
  for (const [column, value] of Object.entries(filter.equals)) {
    if (value === undefined) continue;
    const reference = eb.ref(column as keyof ServerEquals);
    all.push(value === null ? eb(reference, "is", null) : eb(reference, "=", value));
  }
  if (filter.flavorId !== undefined) all.push(contains(eb, "flavor", `"id":${JSON.stringify(filter.flavorId)}`));
  if (filter.nameLike !== undefined) all.push(sql<SqlBool>`lower(name) LIKE ${filter.nameLike} ESCAPE '\\'`);
  if (filter.states) all.push(eb.or(filter.states.map((pair) => stateIs(eb, pair))));
  if (filter.ids) all.push(eb("id", "in", filter.ids));
  if (filter.deleted !== "both") all.push(eb("deleted_at", filter.deleted === "only" ? "is not" : "is", null));
  if (filter.changedSince !== undefined) all.push(eb("updated_at", ">=", filter.changedSince));
  if (filter.changedBefore !== undefined) all.push(eb("updated_at", "<=", filter.changedBefore));
  return [...all, ...tagConditions(eb, filter)];
}

function tagConditions(eb: Builder, filter: ServerFilter): Expression<SqlBool>[] {
  const has = (tag: string) => contains(eb, "tags", JSON.stringify(tag));
  const all: Expression<SqlBool>[] = [];
  if (filter.tags) all.push(eb.and(filter.tags.map(has)));
  if (filter.tagsAny) all.push(eb.or(filter.tagsAny.map(has)));
  if (filter.notTags) all.push(eb.not(eb.and(filter.notTags.map(has))));
  if (filter.notTagsAny) all.push(eb.not(eb.or(filter.notTagsAny.map(has))));
  return all;
}

/** True when the JSON text of a column holds `part`. */
function contains(_eb: Builder, column: "flavor" | "tags", part: string): Expression<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} LIKE ${`%${escapeLike(part)}%`} ESCAPE '\\'`;
}

function stateIs(eb: Builder, { vm, task }: StatePair): Expression<SqlBool> {
  return eb.and([eb("vm_state", "=", vm), task === null ? eb("task_state", "is", null) : eb("task_state", "=", task)]);
}

type SortColumn = (typeof SERVER_SORT_KEYS)[ServerSortKey];

interface Order {
  readonly column: SortColumn;
  readonly descending: boolean;
}

const NEWEST_FIRST: readonly ServerSort[] = [{ key: "created_at", descending: true }];
const NULLABLE_TEXT: readonly SortColumn[] = ["host", "task_state", "key_name", "zone"];
const NULLABLE_NUMBER: readonly SortColumn[] = ["launched_at", "deleted_at"];

/** The id comes last, so that the order is total and a marker stands for one place. */
function orderOf(sort: readonly ServerSort[]): Order[] {
  const wanted = sort.length > 0 ? sort : NEWEST_FIRST;
  const order = wanted.map(({ key, descending }) => ({ column: SERVER_SORT_KEYS[key], descending }));
  return [...order, { column: "id", descending: wanted[0]?.descending ?? true }];
}

/** Null sorts first on one database and last on the other, so it gets a value here. */
function sortable(column: SortColumn): Expression<unknown> {
  if (NULLABLE_TEXT.includes(column)) return sql`coalesce(${sql.ref(column)}, '')`;
  if (NULLABLE_NUMBER.includes(column)) return sql`coalesce(${sql.ref(column)}, 0)`;
  return sql.ref(column);
}

function sortValue(column: SortColumn, row: Marker): unknown {
  return row[column] ?? (NULLABLE_NUMBER.includes(column) ? 0 : "");
}

/** Behind the marker in this order: behind it in the first column, or equal there and behind it in the rest. */
function after(eb: Builder, order: readonly Order[], marker: Marker): Expression<SqlBool> {
  return eb.or(
    order.map(({ column, descending }, i) =>
      eb.and([
        ...order
          .slice(0, i)
          .map((earlier) => sql<SqlBool>`${sortable(earlier.column)} = ${sortValue(earlier.column, marker)}`),
        sql<SqlBool>`${sortable(column)} ${sql.raw(descending ? "<" : ">")} ${sortValue(column, marker)}`,
      ]),
    ),
  );
}

export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (special) => `\\${special}`);
}
