import { type RawBuilder, type SqlBool, sql } from "kysely";
import { escapeLike } from "./volume-types.ts";

/** A time that rows are compared with. */
export interface TimeLimit {
  readonly column: "created_at" | "updated_at";
  readonly operator: "=" | "!=" | ">" | ">=" | "<" | "<=";
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The condition of one limit on `table`. */
export function withinTime(table: string, { column, operator, at }: TimeLimit): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(`${table}.${column}`)} ${sql.raw(operator)} ${at}`;
}

/** One condition for each pair that must be in a column of JSON. */
export function havingPairs(column: string, pairs: Readonly<Record<string, string>> = {}): RawBuilder<SqlBool>[] {
  return Object.entries(pairs).map(([key, value]) => {
    const part = `%${escapeLike(`${JSON.stringify(key)}:${JSON.stringify(value)}`)}%`;
    return sql<SqlBool>`${sql.ref(column)} LIKE ${part} ESCAPE '\\'`;
  });
}
