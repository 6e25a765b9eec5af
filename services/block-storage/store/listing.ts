import { type RawBuilder, type SqlBool, sql } from "kysely";
import { comesAfter, orderBy, type SortKey } from "../../../kernel/store/keyset.ts";

/** A column that a list can be sorted by: its full name, and what stands for null, which the databases sort differently. */
export interface SortColumn {
  readonly column: string;
  readonly empty?: "" | 0;
}

export interface Sort {
  readonly by: SortColumn;
  readonly descending: boolean;
}

export interface ListPage {
  readonly limit: number;
  readonly offset: number;
  /** Newest first when empty. */
  readonly sort: readonly Sort[];
  /** The row behind which the page begins. */
  readonly marker: object | undefined;
}

/** The order of a page, total by the id of `table`, and the condition that puts it behind its marker. */
export function pageOrder(
  table: string,
  { sort, marker }: Pick<ListPage, "sort" | "marker">,
): { order: RawBuilder<unknown>; behindMarker: RawBuilder<SqlBool> } {
  const wanted = sort.length > 0 ? sort : [{ by: { column: `${table}.created_at` }, descending: true }];
  const all: readonly Sort[] = [
    ...wanted,
    { by: { column: `${table}.id` }, descending: wanted[0]?.descending ?? true },
  ];
  const keys: SortKey[] = all.map(({ by, descending }) => ({ by: sortable(by), descending }));
  const row = marker as Readonly<Record<string, unknown>> | undefined;
  const behindMarker = row
    ? comesAfter(
        keys,
        all.map(({ by }) => row[by.column.slice(table.length + 1)] ?? by.empty),
      )
    : sql<boolean>`1 = 1`;
  return { order: orderBy(keys), behindMarker };
}

function sortable({ column, empty }: SortColumn): RawBuilder<unknown> {
  if (empty === undefined) return sql`${sql.ref(column)}`;
  return sql`coalesce(${sql.ref(column)}, ${sql.lit(empty)})`;
}
