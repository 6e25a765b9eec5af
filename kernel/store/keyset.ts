import { type RawBuilder, sql } from "kysely";

/** One part of an order. `by` must never be null; the last part must tell any two rows apart. */
export interface SortKey {
  readonly by: RawBuilder<unknown>;
  readonly descending: boolean;
}

/** For `ORDER BY`. */
export function orderBy(keys: readonly SortKey[]): RawBuilder<unknown> {
  return sql.join(keys.map(({ by, descending }) => (descending ? sql`${by} DESC` : sql`${by} ASC`)));
}

/** True for rows that come after the one whose parts are `values`: the next page behind a marker, by index and without counting. */
export function comesAfter(keys: readonly SortKey[], values: readonly unknown[]): RawBuilder<boolean> {
  const cases = keys.map(({ by, descending }, index) => {
    const equal = keys.slice(0, index).map((key, at) => sql`${key.by} = ${values[at]}`);
    const beyond = descending ? sql`${by} < ${values[index]}` : sql`${by} > ${values[index]}`;
    return sql`(${sql.join([...equal, beyond], sql` AND `)})`;
  });
  return sql<boolean>`(${sql.join(cases, sql` OR `)})`;
}
