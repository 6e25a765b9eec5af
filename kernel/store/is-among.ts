import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Store } from "./store.ts";

/**
 * True where a text column holds one of the texts of `list`, a JSON list that is a single parameter: so one prepared
 * statement serves lists of any length.
 */
export function isAmong(dialect: Store["dialect"], column: string, list: string): RawBuilder<SqlBool> {
  return dialect === "sqlite"
    ? sql<SqlBool>`${sql.ref(column)} IN (SELECT value FROM json_each(${list}))`
    : sql<SqlBool>`${sql.ref(column)} = ANY (ARRAY(SELECT json_array_elements_text(${list}::json)))`;
}
