import { type Expression, type ExpressionBuilder, type SqlBool, sql } from "kysely";
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
  readonly marker: ServerRow | undefined;
  readonly sort: readonly ServerSort[];
}

type Builder = ExpressionBuilder<ComputeTables, "servers">;

/** One page of servers; newest first unless sorted otherwise. */
export async function listServers(q: Queries, filter: ServerFilter, page: ServerPage): Promise<ServerRow[]> {
  if (page.limit === 0 || filter.states?.length === 0 || filter.ids?.length === 0) return [];
  const order = orderOf(page.sort);
  let query = q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .selectAll()
    .where((eb) => eb.and(conditions(eb, filter)))
    .limit(page.limit);
  for (const { column, descending } of order) query = query.orderBy(sortable(column), descending ? "desc" : "asc");
  const { marker } = page;
  if (marker) query = query.where((eb) => after(eb, order, marker));
  return await query.execute();
}

/** The server that a marker names, also when it is deleted by now. */
export async function findServerEvenDeleted(q: Queries, id: string): Promise<ServerRow | undefined> {
  return await q.tables<ComputeTables>().selectFrom("servers").selectAll().where("id", "=", id).executeTakeFirst();
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

function sortValue(column: SortColumn, row: ServerRow): unknown {
  return row[column] ?? (NULLABLE_NUMBER.includes(column) ? 0 : "");
}

/** Behind the marker in this order: behind it in the first column, or equal there and behind it in the rest. */
function after(eb: Builder, order: readonly Order[], marker: ServerRow): Expression<SqlBool> {
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
