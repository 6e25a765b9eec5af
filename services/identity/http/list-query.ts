import { type RawBuilder, type SqlBool, sql } from "kysely";
import { own } from "../../../kernel/http/own.ts";
import type { QueryValue, RawQuery } from "../../../kernel/http/request.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";

/**
 * How a query parameter filters a column. `name`: compares without case through the `…_key` column, and knows the
 * inexact forms (`name__contains` and kin); `text` compares exactly, inexact forms too.
 */
export interface Filter {
  readonly kind: "name" | "text" | "boolean";
  readonly column: string;
}

export type Filters = Readonly<Record<string, Filter>>;

/** False words are false; everything else, the empty text included, is true. Absent: undefined. */
export function queryFlag(value: QueryValue): boolean | undefined {
  const text = queryText(value);
  return text === undefined ? undefined : looseBoolean(text) !== false;
}

/** Of a repeated parameter the last counts. */
export function queryText(value: QueryValue): string | undefined {
  return Array.isArray(value) ? value.at(-1) : value;
}

/** The conditions that a query asks for; parameters that are no filter are ignored. */
export function conditions(query: RawQuery, filters: Filters): RawBuilder<SqlBool>[] {
  const found: RawBuilder<SqlBool>[] = [];
  for (const parameter in query) {
    const value = queryText(query[parameter]);
    const [name = "", comparison] = parameter.split("__");
    const filter = own(filters, name);
    if (!filter || value === undefined) continue;
    const condition = comparison === undefined ? equals(filter, value) : inexact(filter, comparison, value);
    if (condition) found.push(condition);
  }
  return found;
}

function equals(filter: Filter, value: string): RawBuilder<SqlBool> {
  const column = sql.ref(filter.column);
  switch (filter.kind) {
    case "boolean":
      return sql`${column} = ${looseBoolean(value) === false ? 0 : 1}`;
    case "name":
      return sql`${column} = ${value.toLowerCase()}`;
    case "text":
      return sql`${column} = ${value}`;
  }
}

/** `i…` and plain forms mean the same: names have no case here. */
function inexact(filter: Filter, comparison: string, value: string): RawBuilder<SqlBool> | undefined {
  if (filter.kind === "boolean") return undefined;
  const escaped = value.toLowerCase().replace(/[\\%_]/g, "\\$&");
  const pattern = likePattern(comparison, escaped);
  if (pattern === undefined) return undefined;
  const column = filter.kind === "name" ? sql.ref(filter.column) : sql`lower(${sql.ref(filter.column)})`;
  return sql`${column} LIKE ${pattern} ESCAPE '\\'`;
}

function likePattern(comparison: string, escaped: string): string | undefined {
  switch (comparison) {
    case "contains":
    case "icontains":
      return `%${escaped}%`;
    case "startswith":
    case "istartswith":
      return `${escaped}%`;
    case "endswith":
    case "iendswith":
      return `%${escaped}`;
    default:
      return undefined;
  }
}
