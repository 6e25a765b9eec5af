import { type RawBuilder, type SqlBool, sql } from "kysely";

/** Rows whose `column` (`host`, `cluster_name` of volumes) lies in that backend or cluster, whatever the pool. */
export function onPlace(column: string, place: string): RawBuilder<SqlBool> {
  const ref = sql.ref(column);
  return sql<SqlBool>`(${ref} = ${place} OR substr(${ref}, 1, ${sql.lit(place.length + 1)}) = ${`${place}#`})`;
}
