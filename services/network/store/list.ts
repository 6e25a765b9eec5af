import { type RawBuilder, sql } from "kysely";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import { atMost } from "../../../kernel/store/at-most.ts";
import { comesAfter, orderBy, type SortKey } from "../../../kernel/store/keyset.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { invalidInput } from "../domain/faults.ts";
import type { NetworkTables } from "./tables.ts";

/** A condition on the row `r`. Several values mean: any of them. */
export type Filter = (values: readonly string[]) => RawBuilder<boolean>;

/** What can be listed: a table, and what its attributes on the wire mean in it. */
export interface ListSource {
  readonly table: keyof NetworkTables;
  readonly filters: Readonly<Record<string, Filter>>;
  /** Columns by attribute; only such as are never null. */
  readonly sortable: Readonly<Record<string, string>>;
}

export interface ListRequest {
  readonly filters: Readonly<Record<string, readonly string[]>>;
  readonly sort: readonly { readonly key: string; readonly descending: boolean }[];
  readonly limit: number;
  readonly marker: string | undefined;
  /** Absent: everything is. */
  readonly visible: RawBuilder<boolean> | undefined;
}

/** One query per page (and one for the marker). Throws `network.invalid_input` for bad values, sort keys and markers. */
export async function listRows<Row>(q: Queries, source: ListSource, request: ListRequest): Promise<Row[]> {
  const keys = sortKeys(source, request.sort);
  const conditions = [
    ...Object.entries(request.filters).flatMap(([name, values]) => own(source.filters, name)?.(values) ?? []),
    ...(request.visible ? [request.visible] : []),
  ];
  if (request.marker !== undefined)
    conditions.push(comesAfter(keys, await markerValues(q, source, keys, request.marker)));
  const where = conditions.length === 0 ? sql`` : sql`WHERE ${sql.join(conditions, sql` AND `)}`;
  const query = sql<Row>`SELECT r.* FROM ${sql.table(source.table)} AS r ${where} ORDER BY ${orderBy(keys)} LIMIT ${atMost(request.limit)}`;
  return (await query.execute(q.tables<NetworkTables>())).rows;
}

/** By id, or undefined when there is none that is visible. */
export async function findRow<Row>(
  q: Queries,
  source: ListSource,
  id: string,
  visible: RawBuilder<boolean> | undefined,
): Promise<Row | undefined> {
  const request = { filters: { id: [id] }, sort: [], limit: 1, marker: undefined, visible };
  const [row] = await listRows<Row>(q, source, request);
  return row;
}

export const isText =
  (column: string): Filter =>
  (values) =>
    sql<boolean>`${sql.ref(`r.${column}`)} IN (${sql.join(values)})`;

/** Columns that hold 0 or 1. */
export const isFlag =
  (column: string): Filter =>
  (values) =>
    sql<boolean>`${sql.ref(`r.${column}`)} IN (${sql.join(values.map((value) => (flagOf(column, value) ? 1 : 0)))})`;

export const isNumber =
  (column: string): Filter =>
  (values) =>
    sql<boolean>`${sql.ref(`r.${column}`)} IN (${sql.join(values.map((value) => numberOf(column, value)))})`;

/** For attributes that every row shows with the same value. */
export const isAlways =
  (shown: string): Filter =>
  (values) =>
    values.some((value) => value.toLowerCase() === shown.toLowerCase()) ? sql<boolean>`1 = 1` : sql<boolean>`1 = 0`;

/** Filters that all resources share. */
export const COMMON_FILTERS: Readonly<Record<string, Filter>> = {
  id: isText("id"),
  name: isText("name"),
  description: isText("description"),
  project_id: isText("project_id"),
  tenant_id: isText("project_id"),
  revision_number: isNumber("revision"),
  tags: (values) => allTags(values),
  "tags-any": (values) => anyTag(values),
  "not-tags": (values) => sql<boolean>`NOT ${allTags(values)}`,
  "not-tags-any": (values) => sql<boolean>`NOT ${anyTag(values)}`,
};

/** Sort keys that all resources share. */
export const COMMON_SORT: Readonly<Record<string, string>> = {
  id: "id",
  name: "name",
  project_id: "project_id",
  tenant_id: "project_id",
  created_at: "created_at",
  updated_at: "updated_at",
};

function allTags(values: readonly string[]): RawBuilder<boolean> {
  const each = tagList(values).map(
    (tag) => sql`EXISTS (SELECT 1 FROM network_tags WHERE resource_id = r.id AND tag = ${tag})`,
  );
  return sql<boolean>`(${sql.join(each, sql` AND `)})`;
}

function anyTag(values: readonly string[]): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT 1 FROM network_tags WHERE resource_id = r.id AND tag IN (${sql.join(tagList(values))}))`;
}

/** Tags come repeated or as one list with commas. */
const tagList = (values: readonly string[]): string[] => values.flatMap((value) => value.split(","));

/** Names come from the client: what every object inherits is no filter. */
function own<V>(map: Readonly<Record<string, V>>, name: string): V | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

function sortKeys(source: ListSource, sort: ListRequest["sort"]): SortKey[] {
  const keys = sort.map(({ key, descending }) => {
    const column = own(source.sortable, key);
    if (column === undefined) throw invalidInput(`'${key}' is not a sort key.`);
    return { by: sql.ref(`r.${column}`), descending };
  });
  return [...keys, { by: sql.ref("r.id"), descending: false }];
}

async function markerValues(q: Queries, source: ListSource, keys: readonly SortKey[], marker: string) {
  const columns = sql.join(keys.map(({ by }, index) => sql`${by} AS ${sql.ref(`k${index}`)}`));
  const query = sql<
    Record<string, unknown>
  >`SELECT ${columns} FROM ${sql.table(source.table)} AS r WHERE r.id = ${marker}`;
  const [row] = (await query.execute(q.tables<NetworkTables>())).rows;
  if (!row) throw new CloudError("invalid", "network.invalid_marker", `The marker ${marker} could not be found.`);
  return keys.map((_, index) => row[`k${index}`]);
}

function flagOf(name: string, value: string): boolean {
  const flag = looseBoolean(value);
  if (flag === undefined) throw invalidInput(`'${value}' cannot be converted to boolean (${name}).`);
  return flag;
}

function numberOf(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw invalidInput(`'${value}' is not an integer (${name}).`);
  return Number(value);
}
