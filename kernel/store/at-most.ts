import { type RawBuilder, sql } from "kysely";

/**
 * The limit of a query that is compiled once: `.limit(atMost(p.limit))`. SQLite looks at a bare parameter there while it
 * plans, and so plans the whole query anew each time one is bound; it does not look into an expression.
 */
export function atMost(limit: number): RawBuilder<number> {
  return sql<number>`${limit} + 0`;
}
