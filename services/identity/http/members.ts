import { type RawBuilder, type Selectable, type SqlBool, sql } from "kysely";
import { Type } from "typebox";
import { type Page, pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { ApiResponse } from "../../../kernel/http/response.ts";
import { atMost } from "../../../kernel/store/at-most.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { invalid, notFound, refused } from "../errors.ts";
import type { IdentityTables } from "../store/tables.ts";

/** Query of every list; filters are read from the raw query, because inexact ones have many names. */
export const ListQuery = Type.Object({ ...pageQuery });

type ListRequest = ApiRequest<unknown, { limit?: number; marker?: string }>;

/** Asks the policy about a row, then demands that there is one: strangers do not learn which ids exist. */
export function authorizeOn<Row extends object>(
  request: ApiRequest,
  rule: string,
  subject: { readonly kind: string; readonly row: Row | undefined; readonly id: string },
): Row {
  request.authorize(rule, { target: { [subject.kind]: subject.row ?? { id: subject.id } } });
  return demand(subject.row, subject.kind, subject.id);
}

export function demand<Row>(row: Row | undefined, what: string, id: string): Row {
  if (row === undefined) throw notFound(what, id);
  return row;
}

/** One page of a table, by id. 404 for an unknown marker. */
export async function listRows<Table extends keyof IdentityTables>(
  queries: Queries,
  table: Table,
  where: readonly RawBuilder<SqlBool>[],
  page: Page,
): Promise<Selectable<IdentityTables[Table]>[]> {
  const db = queries.tables<IdentityTables>();
  const all = [...where];
  if (page.marker !== undefined) {
    const known = await sql`SELECT 1 FROM ${sql.table(table)} WHERE id = ${page.marker}`.execute(db);
    if (known.rows.length === 0) throw notFound("marker", page.marker);
    all.push(sql<SqlBool>`id > ${page.marker}`);
  }
  const condition = all.length > 0 ? sql`WHERE ${sql.join(all, sql` AND `)}` : sql``;
  const query = sql<
    Selectable<IdentityTables[Table]>
  >`SELECT * FROM ${sql.table(table)} ${condition} ORDER BY id LIMIT ${atMost(page.limit)}`;
  return (await query.execute(db)).rows;
}

/** The answer to a list whose rows are a table's. */
export async function listTable<Table extends keyof IdentityTables>(
  request: ListRequest,
  answers: RememberedAnswers,
  list: {
    readonly table: Table;
    readonly collection: string;
    where(): readonly RawBuilder<SqlBool>[];
    view(
      rows: Selectable<IdentityTables[Table]>[],
      q: Queries,
    ): Promise<readonly { id: string }[]> | readonly { id: string }[];
  },
): Promise<ApiResponse> {
  return await answers.of(request, async (q) => {
    const page = pageOf(request);
    const rows = await listRows(q, list.table, list.where(), page);
    const members = await list.view(rows, q);
    return pageBody(request, list.collection, members, { limit: page.limit, markerOf: (row) => row.id });
  });
}

/** The answer to a list that is always whole. */
export function wholeList(request: ApiRequest, collection: string, members: readonly unknown[]): ApiResponse {
  const self = request.urls.base + request.path;
  return { body: { [collection]: members, links: { next: null, self, previous: null } } };
}

/** An id in a PATCH must be that of the URL. */
export function checkSameId(body: Readonly<Record<string, unknown>>, id: string): void {
  if (body.id !== undefined && body.id !== id) throw invalid("Cannot change the ID.");
}

/** Attributes that the API does not know: stored, and returned as they came. */
export function extrasOf(body: Readonly<Record<string, unknown>>, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([key]) => !known.includes(key) && !NEVER_STORED.has(key)));
}

const NEVER_STORED = new Set(["id", "links", "password", "original_password"]);

/** `extra` of a row after an update: given attributes replace stored ones. */
export function mergedExtra(stored: string, given: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...jsonObject(stored), ...given });
}

/** Options after an update; null takes an option away. */
export function mergedOptions(stored: string, given: Readonly<Record<string, unknown>> | undefined): string {
  const merged = Object.entries({ ...jsonObject(stored), ...given }).filter(([, value]) => value !== null);
  return JSON.stringify(Object.fromEntries(merged));
}

export function jsonObject(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

/** 403 for what is marked immutable, unless the update takes just that mark away. */
export function checkMutable(
  what: string,
  row: { readonly options: string },
  update?: Readonly<Record<string, unknown>>,
): void {
  if (jsonObject(row.options).immutable !== true) return;
  const options = update?.options as Record<string, unknown> | undefined;
  const lifts = options !== undefined && "immutable" in options && options.immutable !== true;
  if (lifts && Object.keys(update ?? {}).length === 1) return;
  throw refused(`The ${what} is immutable: set its option immutable to false first.`);
}

/** The domain that a list is about, for the policy. */
export function listedDomain(request: ApiRequest): { target: { domain_id: string | null } } {
  const { domain_id } = request.rawQuery;
  return { target: { domain_id: typeof domain_id === "string" ? domain_id : request.context.domainId } };
}

/** A domain-scoped token sees only its own domain. */
export function ownDomainOnly(request: ApiRequest, column = "domain_id"): RawBuilder<SqlBool>[] {
  const { domainId } = request.context;
  return domainId === null ? [] : [sql<SqlBool>`${sql.ref(column)} = ${domainId}`];
}
